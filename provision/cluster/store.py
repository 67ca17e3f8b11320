"""A cluster's tie to its object store: a machine on this computer, or a store elsewhere and its keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from provision.cluster import firstboot
from provision.core import files
from provision.core.errors import NotReady
from provision.core.model import ClusterIdentity, ClusterSpec
from provision.core.reporter import Reporter
from provision.data.stores import keys
from provision.data.stores.keys import StoreKeys
from provision.providers.local.stores import MACHINE
from provision.state.folder import State, Store


class StoreLink(Protocol):
    """Opens and closes object stores; tests have another one."""

    def prepare(self, spec: ClusterSpec) -> str:
        """Return the image key of the store's machine, making the image when needed ('' without a store)."""
        ...

    def open(
        self, spec: ClusterSpec, identity: ClusterIdentity, state: State, *, image: str, login_key: str
    ) -> Store | None:
        """Attach the cluster and return the running store, None when it is elsewhere; again is harmless."""
        ...

    def renew(self, spec: ClusterSpec, state: State) -> None:
        """Keep fresh keys of a store that is no machine of ours with the cluster's secrets."""
        ...

    def close(self, name: str, identity: ClusterIdentity) -> None:
        """Detach the cluster; its data stays. Again is harmless."""
        ...


class Stores:
    """The real ones. `given` are variables of the vault (see `store_keys.VAULT`)."""

    def __init__(self, reporter: Reporter, given: Mapping[str, str]) -> None:
        self._reporter = reporter
        self._given = given

    def prepare(self, spec: ClusterSpec) -> str:
        """See `StoreLink.prepare`. A store elsewhere is asked, before anything is made that it is for."""
        if spec.object_store.elsewhere and spec.object_store.credentials == "keys":
            from provision.data.stores.open import check

            check(spec.object_store, keys.obtain(spec, self._given))
        if spec.object_store.kind == "folder" and not Path(spec.object_store.path).is_dir():
            raise NotReady(
                where=f"object store {spec.object_store.path}",
                what="there is no such folder",
                remedy="Make it first",
            )
        if spec.object_store.kind != "local":
            return ""
        from provision.cluster import baking  # see Cluster._image
        from provision.images import recipe

        return baking.ensure(recipe.store_recipe(), self._reporter)

    def open(
        self, spec: ClusterSpec, identity: ClusterIdentity, state: State, *, image: str, login_key: str
    ) -> Store | None:
        """See `StoreLink.open`."""
        if spec.object_store.kind != "local":
            self.renew(spec, state)
            return None
        from provision.providers.local import stores

        name = spec.object_store.name
        if name not in state.journal.read().stores:
            state.journal.store(name)
        opened = stores.store_open(
            name, identity, login_key, image=image, user_data=firstboot.store_user_data(), group=MACHINE
        )
        credentials = {"access_key": opened.access_key, "secret_key": opened.secret_key}
        files.write_if_changed(state.secrets / keys.FILE, json.dumps(credentials) + "\n")
        host_key = " ".join(opened.host_key.split()[:2])
        return Store(name=name, address=opened.address, host_key=host_key, image=image)

    def renew(self, spec: ClusterSpec, state: State) -> None:
        """See `StoreLink.renew`."""
        if spec.object_store.elsewhere and spec.object_store.credentials == "keys":
            keys.record(state.secrets, keys.obtain(spec, self._given))
        if spec.object_store.kind == "folder":  # whoever is on a node may not read it without these
            keys.record(state.secrets, StoreKeys("folder", state.secret("folder")))

    def close(self, name: str, identity: ClusterIdentity) -> None:
        """See `StoreLink.close`."""
        from provision.providers.local import stores

        stores.store_close(name, identity)
