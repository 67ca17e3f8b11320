"""An SSH server in this process: runs commands on this computer, and leads wherever it is asked to."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import paramiko
from paramiko import common

BLOCK = 1 << 16


class Sshd(paramiko.ServerInterface):
    """Lets everybody in.

    Args:
        folder: where its host key lies and commands run.
        leads: where a connection to HOST:PORT ends instead, by (host, port).
    """

    def __init__(self, folder: Path, leads: dict[tuple[str, int], tuple[str, int]] | None = None) -> None:
        self.folder = folder
        self.leads = leads or {}
        self.key = paramiko.Ed25519Key.from_private_key_file(str(make_key(folder / "host_key")))
        self.host_key = f"ssh-ed25519 {self.key.get_base64()}"
        self.users: list[str] = []
        self.connections = 0
        self._ways: dict[int, tuple[str, int]] = {}

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.users.append(username)
        return common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return common.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        if destination not in self.leads:
            return common.OPEN_FAILED_CONNECT_FAILED
        self._ways[chanid] = self.leads[destination]
        return common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel, command), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: bytes) -> None:
        with subprocess.Popen(
            ["sh", "-c", command], cwd=self.folder, bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdin and process.stdout and process.stderr
            threading.Thread(target=_feed, args=(channel, process.stdin), daemon=True).start()
            errors = threading.Thread(target=_copy, args=(process.stderr, channel.sendall_stderr))
            errors.start()
            _copy(process.stdout, channel.sendall)
            errors.join()
            channel.send_exit_status(process.wait())
        channel.close()

    def lead(self, channel: paramiko.Channel) -> None:
        """Connect a channel that was opened to another server with where it ends."""
        link = socket.create_connection(self._ways[channel.get_id()])
        threading.Thread(target=_through, args=(channel, link), daemon=True).start()
        threading.Thread(target=_through, args=(link, channel), daemon=True).start()


def _through(source: Any, target: Any) -> None:
    with suppress(OSError, EOFError):
        while block := source.recv(BLOCK):
            target.sendall(block)
    with suppress(OSError, EOFError):
        target.shutdown_write() if hasattr(target, "shutdown_write") else target.shutdown(socket.SHUT_WR)


def _feed(channel: paramiko.Channel, sink: Any) -> None:
    with suppress(OSError):
        while block := channel.recv(BLOCK):
            sink.write(block)
        sink.close()


def _copy(source: Any, send: Any) -> None:
    with suppress(OSError):
        while block := source.read(BLOCK):
            send(block)


def make_key(path: Path) -> Path:
    """Make an SSH key without a passphrase; return its file."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@contextmanager
def listening(sshd: Sshd) -> Iterator[int]:
    """Serve on a port of 127.0.0.1, which is yielded."""
    listener = socket.create_server(("127.0.0.1", 0))
    transports = []

    def accept(transport: paramiko.Transport) -> None:
        while transport.is_active():
            channel = transport.accept(1)
            if channel is not None and channel.get_id() in sshd._ways:
                sshd.lead(channel)

    def serve() -> None:
        with suppress(OSError):
            while True:
                link, _ = listener.accept()
                sshd.connections += 1
                transport = paramiko.Transport(link)
                transport.add_server_key(sshd.key)
                transports.append(transport)
                transport.start_server(event=threading.Event(), server=sshd)
                threading.Thread(target=accept, args=(transport,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()
        for transport in transports:
            transport.close()
