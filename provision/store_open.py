"""The way to a cluster's object store: elsewhere, in a folder, or on its machine through an SSH tunnel."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from provision.errors import NotReady
from provision.model import ClusterSpec, ObjectStoreSpec
from provision.state import STORE_HOST, STORE_PORT
from provision.store import ObjectStore, StoreError
from provision.store_folder import FolderStore
from provision.store_keys import StoreKeys, obtain, recorded
from provision.store_s3 import S3Store
from provision.store_swift import SwiftStore
from provision.wait import until

TUNNEL_WITHIN_S = 20.0


class HasStore(Protocol):
    """What is needed of a cluster to reach its store."""

    @property
    def spec(self) -> ClusterSpec:
        """The config."""
        ...

    @property
    def state_dir(self) -> Path:
        """The state folder."""
        ...


def connect(spec: ObjectStoreSpec, keys: StoreKeys) -> ObjectStore:
    """Return a store elsewhere; nothing is asked yet."""
    if spec.kind == "swift":
        return SwiftStore(spec, keys)
    return S3Store(spec.url, spec, keys)


def check(spec: ObjectStoreSpec, keys: StoreKeys) -> None:
    """Ask a store elsewhere for one object's name, so that nothing is made that could not reach its data.

    Raises:
        NotReady: wrong keys, no such container, no answer.
    """
    try:
        next(iter(connect(spec, keys).objects()), None)
    except StoreError as error:
        raise NotReady(
            where=f"object store {spec.url}, container {spec.container}",
            what=error.what,
            remedy="Make the container, or correct object_store and its keys",
        ) from error


@contextmanager
def open_store(cluster: HasStore) -> Iterator[ObjectStore]:
    """Give access to a cluster's object store for a while. Raises StoreError when it cannot be reached."""
    spec = cluster.spec.object_store
    if spec.kind == "none":
        raise StoreError(what="this cluster has no object store", where=cluster.spec.name)
    if spec.elsewhere:
        keys = recorded(cluster.state_dir / "secrets") or obtain(cluster.spec, {})
        yield connect(spec, keys)
        return
    if spec.kind == "folder":
        yield FolderStore(Path(spec.path))
        return
    kept = recorded(cluster.state_dir / "secrets")
    if kept is None:
        raise StoreError(
            what="the object store is not running",
            where=cluster.spec.name,
            remedy="start_cluster.yml (./muster up) starts it; its data is still there.",
        )
    with _tunnel(cluster.state_dir / "ssh_config") as port:
        yield S3Store(f"http://127.0.0.1:{port}", spec, kept)


@contextmanager
def _tunnel(ssh_config: Path) -> Iterator[int]:
    """Open an SSH tunnel to the store's machine and yield its local port. Raises StoreError."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    # The servers listen on the machine's own address, which its hosts file knows by this name.
    forward = f"127.0.0.1:{port}:{STORE_HOST}:{STORE_PORT}"
    command = [
        "ssh",
        "-F",
        str(ssh_config),
        "-S",
        "none",
        "-o",
        "ExitOnForwardFailure=yes",
        "-o",
        "BatchMode=yes",
    ]
    with subprocess.Popen(
        [*command, "-N", "-L", forward, STORE_HOST],
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
