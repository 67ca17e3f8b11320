"""Ways through SSH: to servers behind a machine, and from nodes to a store that is a folder here.

No port is opened here for another program to connect to, but in `to_ports`, whose servers prove who they are
and ask for keys: another user could take a port first, or connect too.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from muster_node.sessions import HELD
from provision.core.errors import StoreError, Unreachable
from provision.core.names import JOB_USER
from provision.core.spec import FOLDER_PORT
from provision.ssh.run import BATCH, SSH_FAILED, failure, ssh_command
from provision.state.folder import Target

TO_STORE_S = 20.0
LOOPBACK = "127.0.0.1"
READY_S = 30.0  # from a node to here
TIMEOUT_S = 60
FORWARDING = (*BATCH, "-S", "none", "-o", "ExitOnForwardFailure=yes")
"""A connection of its own, which ends when it cannot forward."""

Dial = Callable[[str, int], Any]  # (machine, port) -> something with the methods of a connected socket


def through(transport: Any) -> Dial:  # noqa: ANN401  (paramiko's Transport, whose import is slow)
    """Return a Dial that goes through an SSH connection; it raises OSError when it cannot."""

    def dial(machine: str, port: int) -> Any:  # noqa: ANN401
        try:
            return transport.open_channel("direct-tcpip", (machine, port), (LOOPBACK, 0), timeout=10)
        except Exception as error:  # paramiko's own tree and EOFError alike
            raise OSError(str(error) or type(error).__name__) from error

    return dial


class HttpConnection(http.client.HTTPConnection):
    """An HTTP connection over whatever `dial` brings."""

    def __init__(self, machine: str, port: int, dial: Dial) -> None:
        super().__init__(machine, port, timeout=TIMEOUT_S)
        self._dial = dial
        self._line: Any = None

    def connect(self) -> None:
        """Dial."""
        self._line = self._dial(self.host, self.port)
        self._line.settimeout(TIMEOUT_S)
        self.sock = _Open(self._line)

    def hang_up(self) -> None:
        """Close it for good."""
        self.close()
        if self._line is not None:
            self._line.close()


class _Open:
    """A line that http.client does not close: it does so once it has the head of an answer.

    With a socket that is nothing, whose file still reads; an SSH channel is gone with the rest of the answer.
    """

    def __init__(self, line: Any) -> None:  # noqa: ANN401  (see Dial)
        self.makefile, self.sendall = line.makefile, line.sendall

    def close(self) -> None:
        """Leave that to whoever has the line."""


@contextmanager
def to_store(store: Target, key_file: Path) -> Iterator[Dial]:
    """Connect to a store's machine by SSH and yield the way to its server.

    Raises:
        StoreError: it does not answer.
        HostKeyMismatch: another machine does.
    """
    from provision.ssh import connection  # slow to import, as it needs paramiko

    try:
        link = connection.connect(store, key_file, deadline_s=TO_STORE_S)
    except Unreachable as error:
        raise StoreError(
            what=f"no way to the object store: {error.what}",
            where=store.name,
            remedy="start_cluster.yml (./muster up) starts it; its data is still there.",
        ) from error
    try:
        link.set_keepalive(30)
        yield through(link)
    finally:
        link.close()


@contextmanager
def to_ports(config: Path, machine: str, ports: Mapping[int, int]) -> Iterator[subprocess.Popen[str]]:
    """Forward ports of this computer's loopback to ports of a machine's; yield the process that does it.

    Other programs and users of this computer reach them too: what listens there must ask for a key, and its
    clients for proof of who it is.

    Args:
        config: the cluster's ssh_config.
        machine: its name there.
        ports: of the machine, by the port here.

    Raises:
        MusterError: they cannot be forwarded; a port here may have been taken.
    """
    forwards = [
        word for here, there in ports.items() for word in ("-L", f"{LOOPBACK}:{here}:{LOOPBACK}:{there}")
    ]
    link = _held(config, machine, (*FORWARDING, "-l", JOB_USER, *forwards))
    try:
        if complaint := _not_ready(link):
            raise failure(machine, SSH_FAILED, complaint)
        yield link
    finally:
        link.terminate()
        link.wait()


def free_ports(count: int, wished: Sequence[int] = ()) -> list[int]:
    """Return so many ports of loopback that nobody has, `wished` ones where those are free."""
    with ExitStack() as stack:
        found = []
        for number in range(count):
            listener = stack.enter_context(closing(socket.socket()))
            try:
                listener.bind((LOOPBACK, wished[number] if number < len(wished) else 0))
            except OSError:
                listener.bind((LOOPBACK, 0))
            found.append(int(listener.getsockname()[1]))
    return found


class ToNodes:
    """Connections by which nodes reach a server here as `127.0.0.1:FOLDER_PORT` while this process lives.

    Each is held by a command on the node that ends with its standard input.
    """

    def __init__(self, ssh_config: Path, names: Sequence[str], port: int) -> None:
        forward = f"{LOOPBACK}:{FOLDER_PORT}:{LOOPBACK}:{port}"
        options = (*FORWARDING, "-R", forward)
        self._links = {name: _held(ssh_config, name, options) for name in names}

    def wait(self) -> None:
        """Wait until all nodes have theirs. Raises StoreError."""
        for name, link in self._links.items():
            if complaint := _not_ready(link):
                self.close()
                raise StoreError(
                    what=f"the folder cannot be shown to it ({complaint})",
                    where=name,
                    remedy="Run the same command again",
                )

    def close(self) -> None:
        """End all connections."""
        for link in self._links.values():
            link.terminate()
            link.wait()


def _held(config: Path, machine: str, options: Sequence[str]) -> subprocess.Popen[str]:
    """Begin a connection that lasts as long as its standard input, and says when it is there."""
    return subprocess.Popen(
        ssh_command(config, machine, f"echo ready; exec -a {HELD} cat > /dev/null", options=options),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", errors="replace",
    )  # fmt: skip


def _not_ready(link: subprocess.Popen[str]) -> str:
    """Wait until a connection is there; return why it is not, '' when it is."""
    timer = threading.Timer(READY_S, link.kill)
    timer.start()
    line = link.stdout.readline() if link.stdout else ""
    timer.cancel()
    if line.strip() == "ready":
        return ""
    said = (link.stderr.read() if link.stderr else "").strip().splitlines()
    return said[-1] if said else "no answer"
