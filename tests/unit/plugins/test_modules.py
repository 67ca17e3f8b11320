"""The Ansible modules' own logic: files and units; answers of programs."""

from __future__ import annotations

import grp
import importlib.util
import json
import os
import pwd
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provision.plugins import on_node
from provision.plugins.action.muster_files import check_entry, tree
from provision.plugins.action.muster_run import _error
from provision.plugins.modules import muster_files, muster_units

ME = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name


def write(path: Path, **entry: object) -> bool:
    wish = muster_files.wished({"dest": str(path), "owner": ME, **entry}) | {"gid": os.getgid()}
    return muster_files.put(path, wish) is not None


def test_a_file_is_written_once_with_mode(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a"
    assert write(path, content="x", mode="0600")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("x", 0o600)
    assert not write(path, content="x", mode="0600")
    assert write(path, content="x", mode="0640")
    assert [one.name for one in path.parent.iterdir()] == ["a"]


def test_a_block_leaves_the_rest_of_a_file_alone() -> None:
    theirs = "127.0.0.1 localhost\n192.0.2.7 printer\n"
    once = muster_files.merged(theirs, "10.0.0.1 retina-master\n")
    assert once == f"{theirs}# Muster begins\n10.0.0.1 retina-master\n# Muster ends\n"
    assert muster_files.merged(once, "10.0.0.1 retina-master\n") == once
    more = once + "192.0.2.8 scanner\n"
    assert muster_files.merged(more, "").splitlines()[-3:] == [
        "# Muster begins",
        "# Muster ends",
        "192.0.2.8 scanner",
    ]
    assert muster_files.merged("no line end", "x\n").startswith("no line end\n# Muster begins\n")


def test_directories_and_links(tmp_path: Path) -> None:
    assert write(tmp_path / "d", directory=True, mode="0700")
    assert not write(tmp_path / "d", directory=True, mode="0700")
    assert write(tmp_path / "l", link="d")
    assert (tmp_path / "l").readlink() == Path("d")
    assert not write(tmp_path / "l", link="d")
    assert write(tmp_path / "l", content="now a file")
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "d", content="x")


def test_a_link_that_somebody_else_may_have_made_is_not_followed(tmp_path: Path) -> None:
    """Else the owner of a folder sends what root writes there to wherever they like."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (elsewhere / "held").write_text("as it was")
    (home / "folder").symlink_to(elsewhere)
    (home / "file").symlink_to(elsewhere / "held")
    home.chmod(0o777)  # not root's alone, whoever runs this
    for entry in ({"content": "x"}, {"directory": True}, {"link": "x"}):
        with pytest.raises(OSError, match="folder is a symbolic link"):
            write(home / "folder" / "a", **entry)
    with pytest.raises(OSError, match="folder is a symbolic link"):
        write(home / "folder" / "deeper" / "a", content="x")
    with pytest.raises(FileExistsError):
        write(home / "folder", directory=True)
    assert write(home / "file", content="x")
    assert not (home / "file").is_symlink()
    assert [(path.name, path.read_text()) for path in elsewhere.iterdir()] == [("held", "as it was")]


def test_a_link_of_roots_is_followed() -> None:
    assert Path("/var/run").is_symlink()
    opened = muster_files.open_folder(Path("/var/run"), create=False)
    assert opened is not None
    os.close(opened)


def test_only_byte_code_that_is_missing_or_old_is_made(tmp_path: Path) -> None:
    """Who runs the programs may not write it, and would compile them anew each time."""
    entry = {
        "dest": str(tmp_path / "a.py"),
        "content": "x = 1\n",
        "owner": ME,
        "group": GROUP,
        "compile": True,
    }
    made = Path(importlib.util.cache_from_source(entry["dest"]))
    assert muster_files.run([entry], check=True, diff=False)["changed"]
    assert not made.exists()
    muster_files.run([entry], check=False, diff=False)
    first = made.read_bytes()
    made.write_bytes(first[:-1] + b"x")
    assert not muster_files.run([entry], check=False, diff=False)["changed"]
    assert made.read_bytes() == first[:-1] + b"x"
    made.write_bytes(b"of a run that was killed after it had written the file")
    assert not muster_files.run([entry], check=False, diff=False)["changed"]
    assert made.read_bytes() == first
    muster_files.run([entry | {"content": "x = 2\n"}], check=False, diff=False)
    assert made.read_bytes() != first


def test_a_module_runs_as_a_program_of_its_own(tmp_path: Path) -> None:
    """As on a node: with a standard Python, from standard input, its answer in the last line."""
    path = tmp_path / "ü b"
    entry = {"dest": str(path), "content": 'it\'s \\ "ü"\n', "owner": ME, "group": GROUP}
    units = {"units": [], "state": "started", "wait": False, "check": False}
    files = {"entries": [entry], "check": False, "diff": True}
    text = on_node.program((muster_files, files), (muster_units, units))
    command = ["/usr/bin/python3", "-I", "-"]
    done = subprocess.run(command, input=text, capture_output=True, check=True, env={"LC_ALL": "C"})
    wrote, started = json.loads(done.stdout)
    assert (wrote["changed_paths"], started) == ([str(path)], {"changed": False, "actions": []})
    assert path.read_text(encoding="utf-8") == entry["content"]


def test_units_are_left_alone_when_their_files_could_not_be_written(tmp_path: Path) -> None:
    files = {"entries": [{"dest": str(tmp_path), "content": ""}], "check": False, "diff": False}
    units = {"units": [unit("none")], "state": "started", "wait": False, "check": False}
    text = on_node.program((muster_files, files), (muster_units, units))
    done = subprocess.run(["/usr/bin/python3", "-I", "-"], input=text, capture_output=True, check=True)
    (answer,) = json.loads(done.stdout)
    assert answer["failed"]
    assert not answer["changed"]
    assert "is a directory" in answer["msg"]


def test_a_node_tells_ansible_nothing_but_what_was_done() -> None:
    """Ansible obeys `add_host` in a result, also for this computer; root on a node answers what it likes."""
    for more in (
        {"add_host": {"host_name": "localhost", "host_vars": {"ansible_python_interpreter": "/tmp/evil"}}},
        {"ansible_facts": {"ansible_python_interpreter": "/tmp/evil"}},
        {"_ansible_no_log": False, "exception": "x"},
    ):
        line = json.dumps([{"changed": True, "actions": ["start x"], **more}])
        action: Any = SimpleNamespace(
            _low_level_execute_command=lambda *_, line=line, **__: {"rc": 0, "stdout": line, "stderr": ""}
        )
        assert on_node.run(action, (muster_units, {})) == {"changed": True, "actions": ["start x"]}


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ({"rc": 0, "stdout": 'noise\n[{"changed": false}]\n', "stderr": ""}, ""),
        ({"rc": 1, "stdout": "", "stderr": "Traceback\nPermissionError: no\n"}, "PermissionError: no"),
        ({"rc": 127, "stdout": "sh: no python3\n", "stderr": ""}, "sh: no python3"),
        ({"rc": 0, "stdout": "[1]\n", "stderr": ""}, "[1]"),
        ({"rc": 0, "stdout": "[]\n", "stderr": ""}, "[]"),
        ({"rc": 9, "stdout": "", "stderr": ""}, "exit status 9"),
    ],
)
def test_a_module_that_does_not_answer_has_failed(done: dict[str, object], said: str) -> None:
    action: Any = SimpleNamespace(_low_level_execute_command=lambda *_, **__: done)
    result = on_node.run(action, (muster_units, {}))
    assert result.get("msg", "") == said
    assert result.get("failed", False) is bool(said)


def test_nothing_is_made_in_check_mode(tmp_path: Path) -> None:
    wish = muster_files.wished({"dest": "", "content": "x"})
    assert muster_files.put(tmp_path / "new" / "a", wish, check_mode=True) is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("words", "taken"), [("Known yes\n", True), ("Unknown yes\n", False)])
def test_a_file_that_its_program_refuses_is_not_put_in_place(tmp_path: Path, words: str, taken: bool) -> None:
    path, program = tmp_path / "08-keys.conf", tmp_path / "sshd"
    path.write_text("Before yes\n")
    program.write_text(
        '#!/bin/sh\n! grep Unknown "$3" > /dev/null || { echo "$3: Bad option" >&2; exit 255; }\n'
    )
    program.chmod(0o755)
    asked = [str(program), "-t", "-f"]
    if taken:
        assert write(path, content=words, validate=asked)
    else:
        with pytest.raises(ValueError, match="sshd -t -f: it: Bad option"):
            write(path, content=words, validate=asked)
    assert path.read_text() == (words if taken else "Before yes\n")
    assert sorted(tmp_path.iterdir()) == [path, program], "nothing is left lying about"


def test_a_secret_is_not_in_the_diff() -> None:
    wish = muster_files.wished({"dest": "/x", "content": "hush"})
    shown = muster_files.difference("/x", muster_files.current(None, "x"), wish, True)
    assert "hush" not in json.dumps(shown)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("x", "not a dictionary"),
        ({"dest": "a", "content": ""}, "absolute"),
        ({"dest": "/a", "content": "", "moed": "0644"}, "unknown key moed"),
        ({"dest": "/a", "content": "", "template": "t"}, "exactly one"),
        ({"dest": "/a"}, "exactly one"),
        ({"dest": "/a", "content": "", "mode": 420}, "quoted octal"),
        ({"dest": "/a", "content": "", "compile": True}, "compile is for"),
        ({"dest": "/a", "tree": "b", "compile": True, "owner": "hadoop"}, "compile is for"),
        ({"dest": "/a", "tree": "b", "compile": True}, ""),
        ({"dest": "/a", "content": ""}, ""),
    ],
)
def test_entries_are_checked(entry: object, said: str) -> None:
    assert said in check_entry(entry)
    assert bool(said) == bool(check_entry(entry))


SHOWN = """Id=a.service
ActiveState=active
UnitFileState=enabled
FragmentPath=
InactiveExitTimestamp=Sun 2026-11-22 05:31:26.000000 UTC
StateChangeTimestamp=Sun 2026-11-22 05:31:27.500000 UTC

Id=b.service
ActiveState=inactive
UnitFileState=disabled
FragmentPath=
InactiveExitTimestamp=
StateChangeTimestamp=
"""


def unit(
    name: str, files: list[Path] | None = None, reload_files: list[Path] | None = None
) -> dict[str, object]:
    return {
        "name": name,
        "files": files or [],
        "reload_files": reload_files or [],
        "proof": [],
        "creates": "",
    }


def test_units_are_started_restarted_and_reloaded_by_file_times(tmp_path: Path) -> None:
    shown = muster_units.parse_show(SHOWN)
    began = muster_units.seconds(shown["a"]["InactiveExitTimestamp"])
    assert muster_units.seconds(shown["a"]["StateChangeTimestamp"]) == began + 1.5
    old, new = tmp_path / "old", tmp_path / "new"
    for path, stamp in ((old, began - 5), (new, began + 5)):
        path.touch()
        os.utime(path, (stamp, stamp))
    decide = muster_units.decide
    assert decide(unit("a", [old]), shown["a"], "started") == ""
    assert decide(unit("a", [new]), shown["a"], "started") == "restart"
    assert decide(unit("a", [old], [new]), shown["a"], "started") == "reload"
    assert decide(unit("a", [new], [new]), shown["a"], "reloaded") == "reload"
    assert decide(unit("a", [new]), shown["a"], "reloaded") == ""
    assert decide(unit("b", [new]), shown["b"], "started") == "start"
    assert decide(unit("b", [new], [new]), shown["b"], "reloaded") == ""
    assert decide(unit("a"), shown["a"], "stopped") == "stop"
    assert decide(unit("b"), shown["b"], "stopped") == ""
    assert decide(unit("a"), shown["a"], "restarted") == "restart"


@pytest.mark.parametrize(("proof", "verb"), [("true", ""), ("false", "restart")])
def test_a_unit_whose_work_somebody_has_undone_is_restarted(proof: str, verb: str) -> None:
    shown = muster_units.parse_show(SHOWN)
    assert muster_units.decide(unit("a") | {"proof": [proof]}, shown["a"], "started") == verb
    assert muster_units.decide(unit("a") | {"proof": [proof]}, shown["a"], "reloaded") == ""


@pytest.mark.parametrize("wait", [True, False])
def test_starts_are_waited_for_only_when_asked(wait: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        said.append(command[1:])
        return SimpleNamespace(returncode=0, stdout=SHOWN, stderr="")

    monkeypatch.setattr(muster_units.subprocess, "run", run)
    assert muster_units.run([unit("b")], "started", wait=wait, check=False)["changed"]
    assert ["start", "--no-block", "b"] in said
    assert (said[-1] == ["start", "b"]) is wait


def test_a_start_that_fails_is_an_error_with_the_units_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = "Job for b.service failed because the control process exited with error code."

    def run(command: list[str], **_: object) -> SimpleNamespace:
        if command[0].endswith("journalctl"):
            assert "--unit=b.service" in command
            return SimpleNamespace(stdout="nft: no such table\n")
        fails = command[1:] == ["start", "b"]
        return SimpleNamespace(returncode=int(fails), stdout=SHOWN, stderr=failure if fails else "")

    monkeypatch.setattr(muster_units.subprocess, "run", run)
    result = muster_units.run([unit("b")], "started", wait=True, check=False)
    assert result["failed"]
    assert result["msg"].startswith("systemctl start b: Job for b.service failed")
    assert result["msg"].endswith("Its last words: nft: no such table")


def test_nothing_is_started_in_check_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        said.append(command[1])
        return SimpleNamespace(returncode=0, stdout=SHOWN, stderr="")

    monkeypatch.setattr(muster_units.subprocess, "run", run)
    assert muster_units.run([unit("b")], "started", wait=True, check=True)["changed"]
    assert said == ["show"]


def test_what_is_done_once_is_started_until_its_work_is_there(tmp_path: Path) -> None:
    once = unit("b") | {"creates": f"{tmp_path}/image_*"}
    shown = muster_units.parse_show(SHOWN)
    assert muster_units.plan([once], shown, "started") == {"start": ["b"]}, "and never at a boot"
    assert muster_units.plan([once], shown, "stopped") == {}
    (tmp_path / "image_0").touch()
    assert muster_units.plan([once], shown, "started") == {}
    assert muster_units.plan([once], shown, "restarted") == {}, "a restart does not do it again"
    shown["b"]["ActiveState"] = "failed"
    assert muster_units.plan([once], shown, "started") == {"reset-failed": ["b"]}, "its work is there"
    shown["b"]["ActiveState"] = "activating"
    assert muster_units.plan([once], shown, "stopped") == {"stop": ["b"]}


def test_a_tree_is_its_folders_and_files_without_byte_code(tmp_path: Path) -> None:
    for name in ("main.py", "queue/cli.py", "__pycache__/main.pyc", "queue/__pycache__/cli.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    entries = tree({"dest": "/opt/lib", "tree": str(tmp_path), "owner": "hadoop"})
    assert all(check_entry(entry) == "" and entry["owner"] == "hadoop" for entry in entries)
    entries = tree({"dest": "/opt/lib", "tree": str(tmp_path), "compile": True})
    assert [(entry["dest"], entry.get("content")) for entry in entries] == [
        ("/opt/lib", None),
        ("/opt/lib/main.py", "x"),
        ("/opt/lib/queue", None),
        ("/opt/lib/queue/cli.py", "x"),
    ]
    assert [entry["dest"] for entry in entries if "compile" in entry] == [
        "/opt/lib/main.py",
        "/opt/lib/queue/cli.py",
    ]


def test_a_programs_own_words_are_its_error() -> None:
    assert _error(["noise", '{"error": "w-1: hdfs-datanode has failed. Last lines of it:\\nno room"}']) == (
        "w-1: hdfs-datanode has failed. Last lines of it:\nno room"
    )
    assert _error(["[]"]) == _error(["no json"]) == _error([]) == ""


def test_only_units_that_were_tried_get_a_new_chance() -> None:
    """systemd refuses to reset a unit that it has not loaded, such as one that first boot has just written."""
    calls: list[tuple[str, ...]] = []
    shown = {"new": {"ActiveState": "inactive"}, "broken": {"ActiveState": "failed"}}
    muster_units.carry_out({"start": ["new", "broken"]}, shown, lambda *words: calls.append(words))
    assert calls == [("reset-failed", "broken"), ("start", "--no-block", "new", "broken")]
    calls.clear()
    muster_units.carry_out({"start": ["new"]}, shown, lambda *words: calls.append(words))
    assert calls == [("start", "--no-block", "new")]
