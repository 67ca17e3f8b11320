"""The way to a cluster's object store: elsewhere, in a folder, or on its machine through an SSH tunnel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from muster_node.stores.base import Settings, Store
from muster_node.stores.base import StoreError as Refused
from muster_node.stores.folder import FolderStore
from muster_node.stores.open import open_store as client_of
from provision.core.errors import NotReady, StoreError
from provision.core.names import STORE_HOST, STORE_PORT
from provision.core.spec import ClusterSpec, ObjectStoreSpec
from provision.data.stores.keys import StoreKeys, own_keys, recorded
from provision.data.stores.tunnelled import store_through
from provision.ssh.tunnels import to_store
from provision.state.folder import State


def settings_of(spec: ObjectStoreSpec, keys: StoreKeys, endpoint: str = "") -> Settings:
    """Return what a client of a store needs to know. `endpoint` '' = the store's own."""
    return Settings(
        endpoint=endpoint or spec.url,
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        session_token=keys.session_token,
        container=spec.container,
        region=spec.region,
        kind="swift" if spec.kind == "swift" else "s3",
        virtual_host=spec.virtual_host,
        auth_version=spec.auth_version,
        project=spec.project,
        user_domain=spec.user_domain,
        project_domain=spec.project_domain,
    )


def connect(spec: ObjectStoreSpec, keys: StoreKeys) -> Store:
    """Return a store elsewhere, whose methods raise the nodes' StoreError; nothing is asked yet."""
    return client_of(settings_of(spec, keys))


def check(spec: ObjectStoreSpec, keys: StoreKeys) -> None:
    """Ask a store elsewhere for one object's name, so that nothing is made that could not reach its data.

    Raises:
        NotReady: wrong keys, no such container, no answer.
    """
    try:
        next(iter(connect(spec, keys).objects()), None)
    except Refused as error:
        raise NotReady(
            where=f"object store {spec.url}, container {spec.container}",
            what=str(error),
            remedy="Make the container, or correct object_store and its keys",
        ) from error


@contextmanager
def open_store(spec: ClusterSpec, state: State) -> Iterator[Store]:
    """Give access to a cluster's object store for a while; the nodes' StoreError becomes ours there.

    Args:
        spec: the cluster's config.
        state: holds its keys, and the way to a store that is a machine of this computer.

    Raises:
        StoreError: it cannot be reached, or refuses something.
        NotReady: there are no keys for it.
    """
    try:
        with _opened(spec, state) as store:
            yield store
    except Refused as error:
        raise StoreError(
            what=str(error),
            where=f"object store, container {spec.object_store.container}",
            remedy="Run the same command again; what is there already is kept.",
        ) from error


@contextmanager
def _opened(spec: ClusterSpec, state: State) -> Iterator[Store]:
    store = spec.object_store
    if store.kind == "none":
        raise StoreError(what="this cluster has no object store", where=spec.name)
    kept = recorded(state.secrets)
    if store.elsewhere:
        # What nodes are lent may less than who works here, and ends.
        yield connect(store, own_keys(spec) if kept is None or kept.lent else kept)
    elif store.kind == "folder":
        yield FolderStore.at(Path(store.path))
    elif kept is None or (target := state.targets().get(STORE_HOST)) is None:
        raise StoreError(
            what="the object store is not running",
            where=spec.name,
            remedy="start_cluster.yml (./muster up) starts it; its data is still there.",
        )
    else:
        with to_store(target, state.key_file) as dial:
            yield store_through(settings_of(store, kept, f"http://{STORE_HOST}:{STORE_PORT}"), dial)
