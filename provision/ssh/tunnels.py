"""SSH tunnels: from here to the store's machine, and from nodes to a store that is a folder here."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from provision.core.errors import StoreError
from provision.core.names import STORE_HOST, STORE_PORT
from provision.core.spec import FOLDER_PORT
from provision.core.wait import until
from provision.ssh.run import BATCH, ssh_command

TUNNEL_WITHIN_S = 20.0  # from here to the store
READY_S = 30.0  # from a node to here
FORWARDING = (*BATCH, "-S", "none", "-o", "ExitOnForwardFailure=yes")
"""A connection of its own, which ends when it cannot forward."""


@contextmanager
def to_store(ssh_config: Path) -> Iterator[int]:
    """Open an SSH tunnel to the store's machine and yield its local port. Raises StoreError."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    # The servers listen on the machine's own address, which its hosts file knows by this name.
    forward = f"127.0.0.1:{port}:{STORE_HOST}:{STORE_PORT}"
    with subprocess.Popen(
        ssh_command(ssh_config, STORE_HOST, options=(*FORWARDING, "-N", "-L", forward)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if not until(
                lambda: _open(port) or process.poll() is not None, deadline_s=TUNNEL_WITHIN_S, interval_s=0.05
            ):
                raise StoreError(what=f"no SSH tunnel within {TUNNEL_WITHIN_S:.0f} s", where=STORE_HOST)
            if process.poll() is not None:
                said = (process.stderr.read() if process.stderr else "").strip().splitlines()
                raise StoreError(
                    what=f"no SSH tunnel to the object store: {said[-1] if said else 'ssh ended'}",
                    where=STORE_HOST,
                    remedy="start_cluster.yml (./muster up) starts it; its data is still there.",
                )
            yield port
        finally:
            process.terminate()


def _open(port: int) -> bool:
    """Say whether something listens on a local port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class ToNodes:
    """Connections by which nodes reach a server here as `127.0.0.1:FOLDER_PORT` while this process lives.

    Each is held by a command on the node that ends with its standard input.
    """

    def __init__(self, ssh_config: Path, names: Sequence[str], port: int) -> None:
        forward = f"127.0.0.1:{FOLDER_PORT}:127.0.0.1:{port}"
        options = (*FORWARDING, "-R", forward)
        self._links: dict[str, subprocess.Popen[str]] = {}
        for name in names:
            self._links[name] = subprocess.Popen(
                ssh_command(ssh_config, name, "echo ready; exec cat > /dev/null", options=options),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until all nodes have theirs. Raises StoreError."""
        for name, link in self._links.items():
            timer = threading.Timer(READY_S, link.kill)
            timer.start()
            line = link.stdout.readline() if link.stdout else ""
            timer.cancel()
            if line.strip() != "ready":
                said = (link.stderr.read() if link.stderr else "").strip().splitlines()
                self.close()
                raise StoreError(
                    what=f"the folder cannot be shown to it ({said[-1] if said else 'no answer'})",
                    where=name,
                    remedy="Run the same command again",
                )

    def close(self) -> None:
        """End all connections."""
        for link in self._links.values():
            link.terminate()
            link.wait()
