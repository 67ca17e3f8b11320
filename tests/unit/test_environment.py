"""`./muster` itself, beside a stub of the set-up: when it asks for what, and how the command is passed on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provision import environment
from provision.core.paths import PROJECT

STUB = """
import pathlib, subprocess, sys
root = pathlib.Path(__file__).resolve().parent.parent
with (root / "asked").open("a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
binaries = root / ".venv" / "bin"
binaries.mkdir(parents=True, exist_ok=True)
(binaries / "python").write_text('#!/bin/sh\\nprintf "%s|" "$@"\\n')
(binaries / "python").chmod(0o755)
for word, name, files in (
    ("--base", "muster-stamp", ["requirements.txt", "pyproject.toml"]),
    ("--dev", "muster-stamp-dev", ["requirements.txt", "requirements-dev.txt", "pyproject.toml"]),
):
    if word in sys.argv:
        sums = subprocess.run(["cksum", *files], cwd=root, capture_output=True, text=True).stdout
        (root / ".venv" / name).write_text(f"{root} {sums}")
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    root = tmp_path / "a clone"
    (root / "provision").mkdir(parents=True)
    (root / "inventories").mkdir()
    shutil.copy(PROJECT / "muster", root)
    (root / "provision" / "__init__.py").touch()  # else an installed package of the name would be the first
    (root / "provision" / "environment.py").write_text(STUB)
    for name in ("requirements.txt", "requirements-dev.txt", "pyproject.toml"):
        (root / name).write_text(name)
    (root / "inventories" / "local.yml").write_text("plugin: cluster\nprovider: local\n")
    (root / "inventories" / "cloud.yml").write_text("plugin: cluster\nprovider: ec2\n")
    return root


def start(root: Path, *words: str, path: str = "") -> tuple[str, list[str]]:
    (root / "asked").unlink(missing_ok=True)
    done = subprocess.run(
        [str(root / "muster"), *words],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={key: value for key, value in os.environ.items() if key != "MUSTER_INVENTORY"}
        | ({"PATH": path} if path else {}),
    )
    asked = (root / "asked").read_text().splitlines() if (root / "asked").exists() else []
    return done.stdout, asked


def bare_path(folder: Path, *, without: tuple[str, ...]) -> str:
    """A PATH with the programs the launcher itself needs, and nothing named in `without`."""
    folder.mkdir()
    for name in ("sh", "cat", "cksum", "uname", "grep", "readlink", "python3"):
        (folder / name).symlink_to(sys.executable if name == "python3" else shutil.which(name) or "")
    for name in ("ssh", "rsync", "systemd-nspawn", "mmdebstrap"):
        if name not in without:
            (folder / name).symlink_to("/bin/true")
    return str(folder)


def test_first_use_sets_up_and_later_uses_do_not(clone: Path) -> None:
    printed, asked = start(clone, "status", "--json")
    assert printed == "-I|-m|provision.cli|status|--json|"
    assert len(asked) == 1
    assert "--base" in asked[0]
    assert "--dev" not in asked[0]
    assert start(clone, "status")[1] == [] or "--base" not in start(clone, "status")[1][0]


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_a_changed_requirement_is_installed(clone: Path, name: str) -> None:
    start(clone, "status")
    (clone / name).write_text("changed")
    assert "--base" in start(clone, "status")[1][0]


def test_a_moved_clone_is_set_up_again(clone: Path) -> None:
    start(clone, "status")
    moved = clone.rename(clone.parent / "elsewhere")
    assert "--base" in start(moved, "status")[1][0]


def test_a_later_use_starts_few_programs(clone: Path, tmp_path: Path) -> None:
    """Each costs a millisecond or two; `exec` makes the last process Python's."""
    start(clone, "status")
    path = bare_path(tmp_path / "bin", without=())
    for program in (tmp_path / "bin").iterdir():
        real = program.readlink()
        program.unlink()
        program.write_text(f'#!/bin/sh\necho {program.name} >> "{tmp_path}/started"\nexec {real} "$@"\n')
        program.chmod(0o755)
    start(clone, "-i", str(clone / "inventories" / "cloud.yml"), "status", path=path)
    started = (tmp_path / "started").read_text().split()
    assert sorted(started) == ["cat", "cksum", "grep", "grep", "readlink", "uname"]


def test_only_the_tests_need_the_test_tools(clone: Path) -> None:
    start(clone, "status")
    assert "--dev" in start(clone, "test")[1][0]


def test_words_reach_the_command_as_they_are(clone: Path) -> None:
    assert (
        start(clone, "run", "--", "echo", "a  b", "$HOME")[0] == "-I|-m|provision.cli|run|--|echo|a  b|$HOME|"
    )


def test_missing_packages_are_asked_for_by_need(clone: Path, tmp_path: Path) -> None:
    path = bare_path(tmp_path / "bin", without=("systemd-nspawn", "rsync"))
    local = start(clone, "up", path=path)[1][0].split("-- ")[1].split()
    assert {"systemd-container", "rsync"} <= set(local)
    assert "mmdebstrap" not in local
    cloud = start(clone, "-i", str(clone / "inventories" / "cloud.yml"), "up", path=path)[1][0]
    assert cloud.split("-- ")[1].split() == ["rsync"]


def test_asking_for_help_needs_no_packages(clone: Path, tmp_path: Path) -> None:
    path = bare_path(tmp_path / "bin", without=("mmdebstrap",))
    assert "--optional-packages" in start(clone, "--help", path=path)[1][0]
    assert "--optional-packages" not in start(clone, "demo", path=path)[1][0]


def test_pip_settings_become_uvs(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (
        "global.index-url='https://index.example/simple'\n:env:.cert='/ca.crt'\n"
        "install.find-links='/a /b'\nglobal.unknown='x'\ndownload.index-url='https://other.example'\n"
    )
    monkeypatch.setattr(environment, "run", lambda *_, **__: listed)
    assert environment.pip_settings(Path("python")) == {
        "UV_DEFAULT_INDEX": "https://index.example/simple",
        "SSL_CERT_FILE": "/ca.crt",
        "UV_FIND_LINKS": "/a,/b",
    }


def test_without_the_right_to_install_the_exact_command_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(
        environment.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None
    )
    with pytest.raises(
        environment.SetupError, match="sudo apt-get install --no-install-recommends rsync mmdebstrap"
    ):
        environment.install_packages(["rsync", "mmdebstrap"])


def test_an_interrupted_set_up_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text("")
    ran: list[list[str]] = []
    monkeypatch.setattr(environment, "run", lambda command, **_: ran.append(list(map(str, command))) or "")
    environment.make_venv()  # no stamp: never finished
    assert "--clear" in ran[0]
    (tmp_path / ".venv" / "muster-stamp").write_text(f"{tmp_path} 1 2 requirements.txt\n3 4 pyproject.toml\n")
    ran.clear()
    environment.make_venv()  # finished once: brought up to date in place
    assert ran == []
    for place in (tmp_path / "before", tmp_path.parent, f"{tmp_path} 1"):  # and then moved or renamed
        (tmp_path / ".venv" / "muster-stamp").write_text(f"{place} 1 2 requirements.txt\n")
        ran.clear()
        environment.make_venv()
        assert "--clear" in ran[0]


@pytest.mark.parametrize(("name", "letter"), [("a$b", "$"), ("a:b", ":"), ('a"b', '"'), ("a\nb", r"'\n'")])
def test_a_place_that_programs_would_misread_is_refused_at_the_first_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    letter: str,
) -> None:
    place = tmp_path / name
    place.mkdir()
    monkeypatch.setattr(environment, "ROOT", place)
    assert environment.main(["--base"]) == 1
    said = capsys.readouterr().err
    assert f"its path has a {letter}, which programs would misread" in said
    assert said.count("\n") == 1


def test_all_that_an_administrator_must_do_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ours = "provision.providers.local.permission" in command
        return subprocess.CompletedProcess(command, not ours, "sudo install helper" if ours else "", "")

    monkeypatch.setattr(environment.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(environment.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(environment.subprocess, "run", asked)
    assert environment.main(["--local", "--", "mmdebstrap"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith("sudo apt-get install --no-install-recommends mmdebstrap && sudo install helper\n")
    assert environment.main(["--", "rsync"]) == 1
    assert "helper" not in capsys.readouterr().err
    assert not (tmp_path / ".venv" / "muster-stamp").exists()


def test_uv_that_fails_gives_way_to_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    ran: list[list[str]] = []

    def run(command: list[object], **_: object) -> str:
        ran.append([str(word) for word in command])
        if ran[-1][0].endswith("/uv"):
            raise environment.SetupError("no")
        return ""

    monkeypatch.setattr(environment, "run", run)
    environment.install_requirements(Path("python"), dev=False)
    pip = ["python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    assert ran[-2:] == [
        [*pip, "--require-hashes", "-r", str(tmp_path / "requirements.txt")],
        [*pip, "--no-build-isolation", "-e", str(tmp_path)],
    ]


@pytest.mark.parametrize(("dev", "lock"), [(False, "requirements.txt"), (True, "requirements-dev.txt")])
def test_only_what_is_locked_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dev: bool, lock: str
) -> None:
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    ran: list[list[str]] = []
    monkeypatch.setattr(environment, "run", lambda command, **_: ran.append(list(map(str, command))) or "")
    environment.install_requirements(Path("python"), dev=dev)
    uv = [str(tmp_path / ".venv/bin/uv"), "pip", "install", "--quiet", "--python", "python", "--no-deps"]
    assert ran[-2:] == [
        [*uv, "--require-hashes", "-r", str(tmp_path / lock)],
        [*uv, "--no-build-isolation", "-e", str(tmp_path)],
    ]
    assert ran[0][-3:] == ["--require-hashes", "-r", str(tmp_path / "requirements-installer.txt")]


def test_another_apt_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """`apt-get update` itself does not wait for who fetches the lists right now."""
    answers = ["Could not get lock /var/lib/apt/lists/lock. It is held by process 42 (apt-get)", ""]

    def run(command: list[str]) -> str:
        assert command == ["apt-get", "update"]
        if said := answers.pop(0):
            raise environment.SetupError(said)
        return ""

    monkeypatch.setattr(environment, "run", run)
    waited: Any = SimpleNamespace(wait=lambda _: False)
    environment.update(["apt-get"], waited)
    assert not answers
    answers[:] = ["Failed to fetch"]
    with pytest.raises(environment.SetupError, match="Failed to fetch"):
        environment.update(["apt-get"], waited)
    answers[:] = ["Could not get lock, held by process 42", ""]
    in_vain = threading.Event()
    in_vain.set()
    with pytest.raises(environment.SetupError, match="process 42"):
        environment.update(["apt-get"], in_vain)
    answers[:] = ["Could not get lock, held by process 42"] * 2
    monkeypatch.setattr(environment, "APT_LOCK_S", -1)
    with pytest.raises(environment.SetupError, match="process 42"):
        environment.update(["apt-get"], waited)
