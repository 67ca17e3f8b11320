"""A cluster's tie to its object store: a machine on this computer, or a store elsewhere and its keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from provision.cluster import firstboot
from provision.core.errors import NotReady
from provision.core.model import ClusterIdentity
from provision.core.spec import ClusterSpec
from provision.data.stores import keys
from provision.data.stores.keys import StoreKeys
from provision.data.stores.lent import keys_for_nodes
from provision.data.stores.open import check
from provision.images.recipe import Recipe, store_recipe
from provision.providers.local import stores
from provision.state.folder import State, Store

Bake = Callable[[Recipe], str]
"""Returns the key of the image of a recipe, after making the image when there is none."""


class StoreLink:
    """Opens and closes object stores for clusters.

    Args:
        bake: returns the image key of a store's machine.
        vault: variables that may hold the keys of a store elsewhere, see `keys.VAULT`; None = not read.
    """

    def __init__(self, bake: Bake, vault: Mapping[str, str] | None = None) -> None:
        self._bake = bake
        self._vault = vault

    def check(self, spec: ClusterSpec, state: State) -> list[str]:
        """Ask whether a store that is no machine of ours can be used. Makes nothing.

        Returns:
            what could not be asked for, one line each.

        Raises:
            NotReady: a store elsewhere does not answer, there are no keys for it that nodes may have, or a
                folder is missing.
        """
        if spec.object_store.elsewhere and spec.object_store.credentials == "keys":
            kept = keys.recorded(state.secrets)
            if self._vault is None and kept is None:
                why = "its keys may stand in the vault, which start_cluster.yml --check reads"
                return [f"object store: not asked for its container: {why}"]
            check(spec.object_store, keys_for_nodes(spec, self._vault or {}, kept))
        if spec.object_store.kind == "folder" and not Path(spec.object_store.path).is_dir():
            raise NotReady(
                where=f"object store {spec.object_store.path}",
                what="there is no such folder",
                remedy="Make it first",
            )
        return []

    def prepare(self, spec: ClusterSpec) -> str:
        """Return the image key of the store's machine, making the image when needed ('' without a machine).

        Raises MusterError: the image could not be made.
        """
        return self._bake(store_recipe()) if spec.object_store.here else ""

    def open(
        self, spec: ClusterSpec, identity: ClusterIdentity, state: State, *, image: str, login_key: str
    ) -> Store | None:
        """Attach the cluster and return the running store, None when it is elsewhere; again is harmless."""
        if not spec.object_store.here:
            self.renew(spec, state)
            return None
        name = spec.object_store.name
        if name not in state.journal.read().stores:
            state.journal.store(name)
        user_data = firstboot.store_user_data()
        opened = stores.store_open(
            name, identity, login_key, image=image, user_data=user_data, group=stores.MACHINE
        )
        keys.record(state.secrets, StoreKeys(opened.access_key, opened.secret_key))
        host_key = " ".join(opened.host_key.split()[:2])
        return Store(name=name, address=opened.address, host_key=host_key, image=image)

    def renew(self, spec: ClusterSpec, state: State) -> float:
        """Keep fresh keys of a store that is no machine of ours with the cluster's secrets.

        Returns when they end, in seconds since the epoch; 0 = they do not by themselves. Raises NotReady when
        there are none that nodes may have.
        """
        if spec.object_store.elsewhere and spec.object_store.credentials == "keys":
            found = keys_for_nodes(spec, self._vault or {}, keys.recorded(state.secrets))
            keys.record(state.secrets, found)
            return found.ends
        if spec.object_store.kind == "folder":  # whoever is on a node may not read it without these
            keys.record(state.secrets, StoreKeys("folder", state.secret("folder")))
        return 0.0

    def close(self, name: str, identity: ClusterIdentity) -> None:
        """Detach the cluster from a store of this computer; its data stays. Again is harmless."""
        stores.store_close(name, identity)
