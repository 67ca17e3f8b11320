"""Object-store machines on this computer: their data outlives every cluster."""

from __future__ import annotations

from dataclasses import dataclass, field

from provision.core.model import ClusterIdentity
from provision.core.names import STORE_HOST
from provision.core.spec import NodeGroup
from provision.providers.local import client
from provision.providers.local.facts import FACTS
from provision.providers.local.helper.registry import PRIVATE


@dataclass(frozen=True)
class OpenStore:
    """A running store. `started`: its machine was booted by this call; `machine`: its host name."""

    name: str
    address: str
    host_key: str
    access_key: str
    secret_key: str = field(repr=False)
    started: bool
    machine: str = "object-store"


@dataclass(frozen=True)
class Store:
    """A store as listed. `clusters` are ids; `bytes` what its data takes on the disk."""

    name: str
    state: str
    address: str
    clusters: tuple[str, ...]
    created: float
    bytes: int


def store_open(
    name: str, cluster: ClusterIdentity, public_key: str, *, image: str, user_data: str, group: NodeGroup
) -> OpenStore:
    """Attach a cluster to a store and return how to reach it; idempotent.

    Args:
        name: the store's.
        cluster: who uses it from now on.
        public_key: may log in to the store's machine as `muster`, as long as the cluster is attached.
        image: recipe key of the store's layer.
        user_data: first-boot data of its machine.
        group: its size (`cores`, `memory_gb`; `data_disk_gb` should be 0: data lies on this computer's disk).
    """
    size = {"cores": group.cores, "memory_gb": group.memory_gb, "data_disk_gb": group.data_disk_gb}
    request = {
        "store": name,
        "cluster_id": cluster.id,
        "public_key": public_key,
        "image": image,
        "user_data": user_data,
        "group": size,
        "inherit": client.inherited(),
    }
    known = client.call("store-open", request)
    return OpenStore(
        name=name,
        address=known["address"],
        host_key=known["host_key"],
        access_key=known["access_key"],
        secret_key=known["secret_key"],
        started=known["started"],
    )


def store_close(name: str, cluster: ClusterIdentity) -> bool:
    """Detach a cluster; return whether the machine was stopped as nobody uses it any more. Idempotent."""
    return bool(client.call("store-close", {"store": name, "cluster_id": cluster.id})["stopped"])


def store_list() -> list[Store]:
    """Return all stores of this computer."""
    return [
        Store(
            name=raw["name"],
            state=raw["state"],
            address=raw["address"],
            clusters=tuple(raw["clusters"]),
            created=raw["created"],
            bytes=raw["bytes"],
        )
        for raw in client.call("store-list")
    ]


def store_remove(name: str) -> None:
    """Delete a store with all its data; raises ProviderError while a cluster uses it."""
    client.call("store-remove", {"store": name})


CLIENTS = f"{{ {', '.join(PRIVATE)} }}"
"""Where clusters of this computer can be, as an nft set; which of them may ask, the helper's rules decide."""
MACHINE = NodeGroup(name=STORE_HOST, provider=FACTS.name, count=1, cores=2, memory_gb=1.5, data_disk_gb=0)
"""The size of a store's machine."""
