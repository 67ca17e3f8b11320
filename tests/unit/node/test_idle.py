"""When a machine counts as used, and when nobody's use ends it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from muster_node import idle


def proc(root: Path, *table: tuple[int, int, str, str]) -> Path:
    for number, parent, name, line in table:
        home = root / str(number)
        home.mkdir()
        (home / "stat").write_text(f"{number} ({name}) S {parent} 0 0\n")
        (home / "comm").write_text(f"{name}\n")
        (home / "cmdline").write_bytes(line.replace(" ", "\0").encode())
    (root / "meminfo").touch()
    return root


SERVER = (10, 1, "sshd", "sshd: /usr/sbin/sshd -D [listener]")
KEPT_OPEN = (
    (11, 10, "sshd-session", "sshd-session: hadoop [priv]"),
    (12, 11, "sshd-session", "sshd-session: hadoop"),
)


def test_a_connection_that_is_only_kept_open_is_no_use(tmp_path: Path) -> None:
    assert idle.sessions(proc(tmp_path, SERVER, *KEPT_OPEN, (20, 1, "java", "java NameNode"))) == []


@pytest.mark.parametrize("name", ["sshd-session", "sshd"])  # as OpenSSH 10 and 9 call it
def test_a_shell_or_a_command_over_ssh_is(tmp_path: Path, name: str) -> None:
    session = (
        (11, 10, name, "x"),
        (12, 11, name, "x"),
        (13, 12, "bash", "-bash"),
        (14, 13, "vi", "vi train.py"),
    )
    assert idle.sessions(proc(tmp_path, SERVER, *session)) == ["bash in an SSH session"]


def test_what_only_holds_a_connection_open_is_none(tmp_path: Path) -> None:
    held = ((11, 10, "sshd-session", "x"), (12, 11, "sshd-session", "x"), (13, 12, "cat", "muster-held"))
    assert idle.sessions(proc(tmp_path, SERVER, *held)) == []


def test_a_notebook_kernel_is(tmp_path: Path) -> None:
    kernel = (30, 1, "python", "python -m ipykernel_launcher -f kernel.json")
    assert idle.sessions(proc(tmp_path, SERVER, kernel)) == ["a notebook kernel"]


def test_one_of_the_notebook_is_what_its_server_says(tmp_path: Path) -> None:
    kernel = (30, 1, "python", "python -m ipykernel_launcher -f /run/muster-notebook/kernel-1.json")
    assert idle.sessions(proc(tmp_path, SERVER, kernel)) == []


def test_a_service_that_was_used_a_moment_ago_is(tmp_path: Path) -> None:
    for name, ago in (("engines", 30), ("launcher", 90)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - ago, 1000 - ago))
    (tmp_path / "link").symlink_to("/nowhere")
    os.utime(tmp_path / "link", (1, 1), follow_symlinks=False)
    assert idle.services(1000, tmp_path) == ["engines"]
    assert idle.services(1000, tmp_path / "none") == []


@pytest.mark.parametrize(
    ("state", "master", "ends"),
    [
        ({"busy": 1000.0}, "", False),
        ({"busy": 900.0}, "", True),
        ({"busy": 0.0, "master": 990.0}, "retina-master", False),  # idle, but that is the master's to judge
        ({"busy": 1000.0, "master": 690.0}, "retina-master", True),
        ({"busy": 900.0}, "retina-master", True),  # it has never seen its master
        ({"busy": 1000.0}, "retina-master", False),
    ],
)
def test_the_master_decides_and_the_others_follow(state: dict[str, float], master: str, ends: bool) -> None:
    assert bool(idle.decide(state, minutes=1, master=master, now=1000.0)) is ends
