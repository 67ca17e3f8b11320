"""The truth about local machines, for the whole computer: `/var/lib/muster/registry.json` under a lock.

Whatever is to exist is written here, durably, before the first side effect, and struck out after the last
trace is gone. So a killed run always leaves more in the registry than on the computer, never less.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from .errors import HelperError
from .system import locked, write

ROOT = Path("/var/lib/muster")
FORMAT = 2
"""1 had no user ids of nodes; it is read as well."""
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""Subnets may lie in these, https://www.rfc-editor.org/rfc/rfc1918."""
BRIDGE = "mu"
"""What the name of every bridge begins with; the network's id follows."""
POOL = IPv4Network("10.77.0.0/16")
"""Where subnets are chosen that nobody wished otherwise."""


@dataclass
class Network:
    """One cluster's (or store's) subnet and bridge."""

    id: str
    name: str
    subnet: str  # a.b.c.0/24
    owner: int  # uid
    next_host: int = 10  # addresses are handed out round robin, so neighbours' ARP caches are never wrong
    host_ports: list[int] = field(default_factory=list)  # of this computer, that its nodes may ask: a proxy's

    @property
    def prefix(self) -> str:
        """The first three bytes with their dots: `10.77.1.`."""
        return self.subnet.rsplit(".", 1)[0] + "."

    @property
    def gateway(self) -> str:
        """The bridge's address."""
        return self.prefix + "1"

    @property
    def bridge(self) -> str:
        """The bridge's interface name."""
        return f"{BRIDGE}{self.id}"

    def admit(self, ports: Iterable[int]) -> None:
        """Let nodes ask these ports of this computer, too; older ones keep what they were told to use."""
        self.host_ports = sorted({*self.host_ports, *ports})

    @property
    def table(self) -> str:
        """The nft table's name, also the tag of rules elsewhere."""
        return f"muster_{self.id}"


@dataclass
class Node:
    """One machine; it has been asked for, and exists as far as its directory and control group say."""

    name: str
    group: str
    cluster_id: str
    unit: str  # 10 hex digits: names the control group, the nspawn machine and its interface
    token: str
    address: str
    cores: float
    memory_mb: int
    disk_gb: int
    image: str
    lower: list[str]  # image ids, uppermost first
    created: float
    owner: int
    labels: dict[str, str] = field(default_factory=dict)
    deleting: bool = False
    store: str = ""  # name of the store this machine serves
    first_id: int = 0  # of its user namespace; 0: made before nodes had one, such a one is not started again

    @property
    def key(self) -> str:
        """Unique on this computer while it exists."""
        return f"{self.name}.{self.cluster_id}"

    @property
    def provider_id(self) -> str:
        """Unique for ever: the next machine of the same name has another, as it has another host key."""
        return f"{self.key}/{self.unit}"

    @property
    def machine(self) -> str:
        """The nspawn machine name; its interface on the host is `vb-<this>` (15 characters at most)."""
        return f"m{self.unit}"

    @property
    def directory(self) -> Path:
        """Where its disks lie."""
        return ROOT / "nodes" / self.key

    @property
    def prepared(self) -> Path:
        """A file that exists once the root is complete and may be booted."""
        return self.directory / "prepared"

    @property
    def builder(self) -> Path:
        """A file that exists when it was made for an image, which its changes become without being copied."""
        return self.directory / "builder"


@dataclass
class Store:
    """An object store's machine, and the clusters (id -> public key) that use it."""

    name: str
    network_id: str
    owner: int
    created: float
    clusters: dict[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """Where its data, credentials and host key lie, for as long as it exists."""
        return ROOT / "stores" / self.name


@dataclass
class Registry:
    """All that exists or is about to."""

    networks: dict[str, Network] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)

    def of(self, cluster_id: str) -> list[Node]:
        """The nodes of one cluster, in the order they were asked for."""
        return [node for node in self.nodes.values() if node.cluster_id == cluster_id]

    def clients(self, network_id: str) -> list[str] | None:
        """The subnets of the clusters that an object store serves; None for a network that is no store's."""
        store = next((store for store in self.stores.values() if store.network_id == network_id), None)
        if store is None:
            return None
        return [self.networks[cluster].subnet for cluster in store.clusters if cluster in self.networks]

    def stores_of(self, cluster_id: str) -> list[Network]:
        """The networks of the object stores that a cluster uses."""
        return [self.networks[s.network_id] for s in self.stores.values() if cluster_id in s.clusters]

    def first_ids(self) -> set[int]:
        """The first user ids of all nodes."""
        return {node.first_id for node in self.nodes.values()}

    def save(self) -> None:
        """Write durably; call with the lock held."""
        content = json.dumps({"format": FORMAT, **asdict(self)}, indent=1)
        write(ROOT / "registry.json", content, 0o600, durable=True)


def load() -> Registry:
    """Read what was last saved.

    Raises:
        HelperError: it was written by a newer version.
    """
    path = ROOT / "registry.json"
    if not path.exists():
        return Registry()
    raw: dict[str, Any] = json.loads(path.read_text())
    if raw.get("format") not in (1, FORMAT):
        raise HelperError(
            f"{path} has format {raw.get('format')}, this version knows {FORMAT}; update muster",
            kind="not_ready",
        )
    return Registry(
        networks={key: Network(**value) for key, value in raw["networks"].items()},
        nodes={key: Node(**value) for key, value in raw["nodes"].items()},
        stores={key: Store(**value) for key, value in raw["stores"].items()},
    )


@contextlib.contextmanager
def changing() -> Iterator[Registry]:
    """The registry under its lock; saved at the end unless the block raised."""
    with locked(ROOT / "registry.lock", deadline_s=30):
        registry = load()
        yield registry
        registry.save()


@contextlib.contextmanager
def cluster_lock(cluster_id: str) -> Iterator[None]:
    """One verb at a time per cluster; waits for a helper that outlived its caller."""
    path = ROOT / "locks" / cluster_id
    with locked(path, waiting=f"waiting for another run on cluster {cluster_id}", deadline_s=60):
        try:
            yield
        finally:
            if cluster_id not in load().networks:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def store_lock(name: str) -> Iterator[None]:
    """One verb at a time per object store."""
    path = ROOT / "locks" / f"store-{name}"
    with locked(path, waiting=f"waiting for another run on object store {name}", deadline_s=60):
        try:
            yield
        finally:
            if name not in load().stores:
                path.unlink(missing_ok=True)


def caller() -> int:
    """The uid of the user who asked, seen through sudo."""
    return int(os.environ.get("SUDO_UID", "0")) if os.geteuid() == 0 else os.geteuid()


def store_key(asked: str) -> str:
    """Under which key the registry has, or will have, an object store: everybody has a `default`.

    Args:
        asked: the name of a store of the caller's, or `NAME.UID` for one of another user.
    """
    name, _, number = asked.partition(".")
    owner, stores = int(number or caller()), load().stores
    for key, store in stores.items():
        if store.owner == owner and key.partition(".")[0] == name:
            return key
    return name if owner == 0 and name not in stores else f"{name}.{owner}"


def artifacts(owner: int) -> Path:
    """Where a user's downloads lie, which the user's machines can read."""
    return ROOT / "artifacts" / str(owner)


def own_artifacts(owner: int) -> None:
    """Make a user's folder of downloads, and make it the user's.

    Raises:
        HelperError: something else is in its place.
    """
    folder = artifacts(owner)
    folder.parent.mkdir(mode=0o755, exist_ok=True)
    os.chown(folder.parent, 0, 0)  # or else its owner could put other folders in the place of users'
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise HelperError(f"{folder} is no folder; remove it", kind="not_ready")
    if found.st_uid != owner:
        os.chown(folder, owner, -1, follow_symlinks=False)


def authorize(owner: int, what: str) -> None:
    """Let only root and the owner go on.

    Raises:
        HelperError: it belongs to somebody else.
    """
    if caller() not in (0, owner):
        raise HelperError(f"{what} belongs to user {owner} of this computer", kind="refused")
