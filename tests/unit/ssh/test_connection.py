"""Against a real SSH server in this process."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from provision.core.errors import CommandFailed, HostKeyMismatch, Unreachable
from provision.core.model import ClusterIdentity
from provision.ssh import connection, keys
from provision.state.folder import Snapshot, State, Target
from tests.fakes.provider import machine


class Server(paramiko.ServerInterface):
    def __init__(self) -> None:
        self.logins: list[str] = []
        self.commands: list[str] = []

    def check_auth_publickey(self, username, key):
        self.logins.append(username)
        return paramiko.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username):
        return "publickey"

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.commands.append(command.decode())
        threading.Timer(0.05, self._answer, args=(channel, command.decode())).start()
        return True

    def _answer(self, channel, command):
        if command.startswith("cat "):
            channel.sendall(HOST_KEYS["ssh-ed25519"].encode() + b" root@node\n")
        if command == "fail":
            channel.sendall_stderr(b"so bad\n")
        channel.send_exit_status(3 if command == "fail" else 0)
        channel.close()


HOST_KEYS: dict[str, str] = {}
RELAY = f"""#!{sys.executable}
import os, pathlib, socket, sys, threading
pathlib.Path(__file__).with_name("told").write_text(" ".join(sys.argv[1:]))
host, port = sys.argv[sys.argv.index("-W") + 1].split(":")
link = socket.create_connection((host, int(port)))
def up():
    while data := os.read(0, 65536):
        link.sendall(data)
threading.Thread(target=up, daemon=True).start()
while data := link.recv(65536):
    os.write(1, data)
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    own, bootstrap = tmp_path / "own", tmp_path / "bootstrap"
    HOST_KEYS["ssh-ed25519"] = " ".join(keys.ensure_login_key(own, "").split()[:2])
    pair = keys.new_bootstrap_key()
    bootstrap.write_text(pair.private)
    HOST_KEYS["ecdsa"] = pair.public
    interface = Server()
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(connection, "_PORT", listener.getsockname()[1])
    transports = []

    def serve() -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(link)
            transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(own)))
            transport.add_server_key(paramiko.ECDSAKey.from_private_key_file(str(bootstrap)))
            transports.append(transport)
            transport.start_server(event=threading.Event(), server=interface)

    threading.Thread(target=serve, daemon=True).start()
    yield interface
    listener.close()
    for transport in transports:
        transport.close()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "id_ed25519"
    keys.ensure_login_key(path, "me")
    return path


def test_adopt_pins_the_own_key_before_the_bootstrap_key_goes(server: Server, key: Path) -> None:
    order: list[str] = []

    def pinned(own: str) -> None:
        order.append(own)
        assert not [command for command in server.commands if "rm -f" in command]

    target = Target("n1", "127.0.0.1", HOST_KEYS["ecdsa"])
    own = connection.pin_own_key(target, key, deadline_s=5, pinned=pinned)
    assert order == [own] == [HOST_KEYS["ssh-ed25519"]]
    assert "rm -f /etc/ssh/ssh_host_ecdsa_key" in server.commands[-1]
    assert set(server.logins) == {"muster"}


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_another_host_key_is_refused_before_logging_in(
    server: Server, key: Path, tmp_path: Path, kind: str
) -> None:
    other = {
        "ssh-ed25519": " ".join(keys.ensure_login_key(tmp_path / "other", "").split()[:2]),
        "ecdsa-sha2-nistp256": keys.new_bootstrap_key().public,
    }
    with pytest.raises(
        HostKeyMismatch, match="^n1: 127.0.0.1 shows a host key that is not the pinned one"
    ) as caught:
        connection.check(Target("n1", "127.0.0.1", other[kind]), key, deadline_s=5)
    assert "\n" not in str(caught.value)
    assert server.logins == []


def test_a_first_boot_without_cloud_init_is_told_as_that(server: Server, key: Path) -> None:
    """Its image's own host key is waited out; nobody logs in, and nothing is pinned."""
    pinned: list[str] = []
    target = Target("n1", "127.0.0.1", keys.new_bootstrap_key().public)
    with pytest.raises(
        HostKeyMismatch, match="^n1: 127.0.0.1 shows another .* image probably runs no cloud-init"
    ):
        connection.pin_own_key(target, key, deadline_s=0.5, pinned=pinned.append)
    assert server.logins == pinned == []


def test_the_host_key_of_the_first_boot_may_come_late(
    server: Server, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = connection._open, []

    def late(target: Target, *more: object) -> object:
        seen.append(target.host_key)
        if len(seen) < 3:
            target = Target(target.name, target.address, keys.new_bootstrap_key().public)
        return real(target, *more)

    monkeypatch.setattr(connection, "_open", late)
    target = Target("n1", "127.0.0.1", HOST_KEYS["ecdsa"])
    assert (
        connection.pin_own_key(target, key, deadline_s=5, pinned=lambda _: None) == HOST_KEYS["ssh-ed25519"]
    )


def test_what_is_told_of_a_first_boot_is_what_was_seen_last(
    server: Server, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some images boot twice, the first time with a host key of their own."""
    real, seen = connection._open, []

    def once(*words: object) -> object:
        seen.append(words)
        if len(seen) > 1:
            raise ConnectionRefusedError(111, "Connection refused")
        return real(*words)

    monkeypatch.setattr(connection, "_open", once)
    target = Target("n1", "127.0.0.1", keys.new_bootstrap_key().public)
    with pytest.raises(Unreachable, match="Connection refused"):
        connection.pin_own_key(target, key, deadline_s=0.3, pinned=lambda _: None)


def test_nobody_there(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(connection, "_PORT", listener.getsockname()[1])
    with pytest.raises(Unreachable, match="^n1: not reachable by SSH at 127.0.0.1 after 0.05 s"):
        connection.connect(Target("n1", "127.0.0.1", "ssh-ed25519 AAAA"), key, deadline_s=0.05)


def test_run_on_all(server: Server, tmp_path: Path, key: Path) -> None:
    state = State(tmp_path / "retina")
    state.begin(ClusterIdentity("retina", "0123abcd"))
    keys.ensure_login_key(state.key_file, "me")
    found = machine("retina-master")
    state.journal.pin(found.provider_id, HOST_KEYS["ssh-ed25519"])
    state.save(Snapshot((type(found)(**{**vars(found), "ssh_address": "127.0.0.1"}),)))
    results = connection.run_on_all(state.folder, ["retina-master", "retina-worker-1"], "fail")
    assert (results["retina-master"].status, results["retina-master"].stderr) == (3, "so bad\n")
    assert results["retina-worker-1"].status == 255
    assert "host key is not known" in results["retina-worker-1"].stderr
    assert server.logins == ["hadoop"]


def test_a_jump_host_is_gone_by(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ssh` is the user's own, with the user's own settings for that host; here it is a relay that tells."""
    relay = tmp_path / "bin" / "ssh"
    relay.parent.mkdir()
    relay.write_text(RELAY)
    relay.chmod(0o755)
    monkeypatch.setenv("PATH", f"{relay.parent}:{os.environ['PATH']}")
    key = tmp_path / "login"
    keys.ensure_login_key(key, "")
    target = Target("n1", "127.0.0.1", HOST_KEYS["ssh-ed25519"], "ada@gate.example:2222")
    connection.check(target, key, deadline_s=10)
    port = connection._PORT
    told = (tmp_path / "bin" / "told").read_text()
    assert told == f"-o BatchMode=yes -p 2222 -W 127.0.0.1:{port} ada@gate.example"


def test_an_answer_of_a_machine(server: Server, key: Path) -> None:
    target = Target("n1", "127.0.0.1", HOST_KEYS["ssh-ed25519"])
    assert connection.answer(target, key, "cat it", timeout_s=5).endswith("root@node\n")
    with pytest.raises(CommandFailed, match="^n1: so bad$"):
        connection.answer(target, key, "fail", timeout_s=5)
    other = Target("n1", "127.0.0.1", keys.new_bootstrap_key().public)
    with pytest.raises(HostKeyMismatch):
        connection.answer(other, key, "cat it", timeout_s=5)
