"""A cluster's tie to its object store on this computer."""

from __future__ import annotations

import json
from typing import Protocol

from provision import files, firstboot
from provision.model import ClusterIdentity, ClusterSpec, NodeGroup
from provision.state import STORE_HOST, State, Store
from provision.timeline import Reporter

MACHINE = NodeGroup(name=STORE_HOST, provider="local", count=1, cores=2, memory_gb=1.5, data_disk_gb=0)
"""The size of a store's machine."""


class StoreLink(Protocol):
    """Opens and closes object stores; tests have another one."""

    def prepare(self, spec: ClusterSpec) -> str:
        """Return the image key of the store's machine, making the image when needed ('' without a store)."""
        ...

    def open(
        self, spec: ClusterSpec, identity: ClusterIdentity, state: State, *, image: str, login_key: str
    ) -> Store:
        """Attach the cluster and return the running store; again is harmless."""
        ...

    def close(self, name: str, identity: ClusterIdentity) -> None:
        """Detach the cluster; its data stays. Again is harmless."""
        ...


class LocalStores:
    """Stores on this computer."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def prepare(self, spec: ClusterSpec) -> str:
        """See `StoreLink.prepare`."""
        if spec.object_store.kind != "local":
            return ""
        from provision import images, recipe  # see Cluster._image

        return images.ensure(recipe.store_recipe(), self._reporter)

    def open(
        self, spec: ClusterSpec, identity: ClusterIdentity, state: State, *, image: str, login_key: str
    ) -> Store:
        """See `StoreLink.open`."""
        from provision.providers.local import stores

        name = spec.object_store.name
        if name not in state.journal.read().stores:
            state.journal.store(name)
        opened = stores.store_open(
            name, identity, login_key, image=image, user_data=firstboot.store_user_data(), group=MACHINE
        )
        credentials = {"access_key": opened.access_key, "secret_key": opened.secret_key}
        files.write_if_changed(state.secrets / "store.json", json.dumps(credentials) + "\n")
        host_key = " ".join(opened.host_key.split()[:2])
        return Store(name=name, address=opened.address, host_key=host_key, image=image)

    def close(self, name: str, identity: ClusterIdentity) -> None:
        """See `StoreLink.close`."""
        from provision.providers.local import stores

        stores.store_close(name, identity)
