"""The way to a cluster's object store: elsewhere, in a folder, or on its machine through an SSH tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provision.core.errors import NotReady, StoreError
from provision.core.spec import ClusterSpec, ObjectStoreSpec
from provision.data.stores.base import ObjectStore
from provision.data.stores.folder import FolderStore
from provision.data.stores.keys import StoreKeys, obtain, recorded
from provision.data.stores.s3 import S3Store
from provision.data.stores.swift import SwiftStore
from provision.ssh.tunnels import to_store
from provision.state.folder import State


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
def open_store(spec: ClusterSpec, state: State) -> Iterator[ObjectStore]:
    """Give access to a cluster's object store for a while.

    Args:
        spec: the cluster's config.
        state: holds its keys, and the way to a store that is a machine of this computer.

    Raises:
        StoreError: it cannot be reached.
        NotReady: there are no keys for it.
    """
    store = spec.object_store
    if store.kind == "none":
        raise StoreError(what="this cluster has no object store", where=spec.name)
    kept = recorded(state.secrets)
    if store.elsewhere:
        yield connect(store, kept or obtain(spec, {}))
    elif store.kind == "folder":
        yield FolderStore(Path(store.path))
    elif kept is None:
        raise StoreError(
            what="the object store is not running",
            where=spec.name,
            remedy="start_cluster.yml (./muster up) starts it; its data is still there.",
        )
    else:
        with to_store(state.ssh_config) as port:
            yield S3Store(f"http://127.0.0.1:{port}", store, kept)
