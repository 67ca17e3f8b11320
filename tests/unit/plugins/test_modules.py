"""The Ansible modules' own logic: files and units; answers of programs."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from provision.plugins.action.muster_files import check_entry, tree
from provision.plugins.action.muster_run import _error
from provision.plugins.modules import muster_files, muster_units

ME = pwd.getpwuid(os.getuid()).pw_name


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
    return {"name": name, "files": files or [], "reload_files": reload_files or [], "proof": []}


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

    given = {"units": [unit("b")], "state": "started", "wait": wait}
    module = SimpleNamespace(params=given, check_mode=False, exit_json=lambda **_: None)
    monkeypatch.setattr(muster_units, "AnsibleModule", lambda **_: module)
    monkeypatch.setattr(muster_units.subprocess, "run", run)
    muster_units.main()
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

    def fail_json(msg: str) -> None:
        raise RuntimeError(msg)

    given = {"units": [unit("b")], "state": "started", "wait": True}
    module = SimpleNamespace(params=given, check_mode=False, exit_json=lambda **_: None, fail_json=fail_json)
    monkeypatch.setattr(muster_units, "AnsibleModule", lambda **_: module)
    monkeypatch.setattr(muster_units.subprocess, "run", run)
    with pytest.raises(
        RuntimeError, match="systemctl start b: Job for b.service failed.*words: nft: no such"
    ):
        muster_units.main()


def test_a_tree_is_its_folders_and_files_without_byte_code(tmp_path: Path) -> None:
    for name in ("main.py", "queue/cli.py", "__pycache__/main.pyc", "queue/__pycache__/cli.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    entries = tree({"dest": "/opt/lib", "tree": str(tmp_path), "owner": "hadoop"})
    assert all(check_entry(entry) == "" and entry["owner"] == "hadoop" for entry in entries)
    assert [(entry["dest"], entry.get("content")) for entry in entries] == [
        ("/opt/lib", None),
        ("/opt/lib/main.py", "x"),
        ("/opt/lib/queue", None),
        ("/opt/lib/queue/cli.py", "x"),
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
