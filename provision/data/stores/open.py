"""The way to a cluster's object store: elsewhere, in a folder, or on its machine through an SSH tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from provision.core.errors import NotReady, StoreError
from provision.core.model import ClusterSpec, ObjectStoreSpec
from provision.data.stores.base import ObjectStore
from provision.data.stores.folder import FolderStore
from provision.data.stores.keys import StoreKeys, obtain, recorded
from provision.data.stores.s3 import S3Store
from provision.data.stores.swift import SwiftStore
from provision.ssh.tunnels import to_store


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
    with to_store(cluster.state_dir / "ssh_config") as port:
        yield S3Store(f"http://127.0.0.1:{port}", spec, kept)
