"""Shared connections of the real ssh, to a server in this process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provision.core.model import ClusterIdentity
from provision.ssh import sharing
from provision.ssh.files import ssh_config
from provision.ssh.run import ssh_command
from provision.state.folder import Snapshot, State
from tests.fakes.provider import machine
from tests.fakes.sshd import Sshd, listening, make_key

ODD = "Bert's 100% ü #1"
MACHINE = replace(machine("retina-master"), address="10.77.1.10", ssh_address="127.0.0.1")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that is short enough for sockets, with all in its name that is allowed there."""
    path = Path(f"/tmp/{os.getpid()}'% ü")
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    for name in ("XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[tuple[Sshd, int]]:
    server = Sshd(tmp_path)
    with listening(server) as port:
        yield server, port


def started(folder: Path, host_key: str) -> State:
    state = State(folder / ODD / "retina")
    state.begin(ClusterIdentity("retina", "0123abcd"))
    make_key(state.key_file)
    state.journal.pin(MACHINE.provider_id, host_key)
    state.save(Snapshot((MACHINE,)))
    return state


def hostname(state: State, port: int) -> str:
    command = ssh_command(ssh_config(state), "retina-master", "echo hello", options=("-p", str(port)))
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def test_odd_folders_hold_keys_and_sockets(tmp_path: Path, home: Path, sshd: tuple[Sshd, int]) -> None:
    server, port = sshd
    state = started(tmp_path, server.host_key)
    assert hostname(state, port) == hostname(state, port) == "hello"
    assert (server.connections, server.users[-1]) == (1, "hadoop")
    sockets = home / ".cache" / "muster"
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert len(list(sockets.iterdir())) == 1
    sharing.close(state.folder)
    assert list(sockets.iterdir()) == []
    assert hostname(state, port) == "hello"
    assert server.connections == 2
    sharing.close(state.folder)


def test_a_moved_checkout_has_its_ssh_config_anew(tmp_path: Path, home: Path, sshd: tuple[Sshd, int]) -> None:
    server, port = sshd
    state = started(tmp_path, server.host_key)
    ssh_config(state)
    moved = State((tmp_path / ODD).rename(tmp_path / "elsewhere") / "retina")
    assert hostname(moved, port) == "hello"
    sharing.close(moved.folder)


def test_another_users_socket_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sshd: tuple[Sshd, int]
) -> None:
    """A home that is too long leads to a folder that others can make first."""
    taken = tmp_path / "taken"
    taken.mkdir()
    taken.chmod(0o777)
    monkeypatch.setattr(sharing, "own_folder", lambda _: sharing.private_folder(taken))
    state = started(tmp_path, sshd[0].host_key)
    with pytest.raises(sharing.NotReady, match="others can write in it"):
        hostname(state, sshd[1])
    assert sshd[0].connections == 0


@pytest.mark.parametrize(
    ("home", "runtime", "chosen"),
    [
        ("/home/ada", "/run/user/1", "/home/ada/.cache/muster"),
        ("/home/" + "a" * 37, "/run/user/1", "/home/" + "a" * 37 + "/.cache/muster"),
        ("/home/" + "a" * 60, "/run/user/1", "/run/user/1/muster"),
        ('/home/"ada"', "/run/user/1", "/run/user/1/muster"),
        ("/home/a$HOME", "", "/tmp/muster-0"),
        ("relative", "also", "/tmp/muster-0"),
    ],
)
def test_where_sockets_lie(monkeypatch: pytest.MonkeyPatch, home: str, runtime: str, chosen: str) -> None:
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr("provision.core.paths.os.geteuid", lambda: 0)
    monkeypatch.setattr("provision.core.paths.private_folder", lambda path: path)
    assert str(sharing.folder()) == chosen
