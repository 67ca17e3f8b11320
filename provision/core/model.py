"""The types that everything else speaks in. All are frozen; none of them does anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class NodeState(StrEnum):
    """What a provider says about a machine."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    DELETING = "deleting"
    GONE = "gone"


@dataclass(frozen=True)
class NodeGroup:
    """One group of equal machines. `count` is None where `nodes` decides (the group `worker`).

    Units: `memory_gb` GiB, `data_disk_gb` GB (0 = no data disk), `cores` processors.
    `options` are the keys that only a provider knows (instance_type, spot, flavor …).
    """

    name: str
    provider: str
    count: int | None
    cores: int
    memory_gb: float
    data_disk_gb: int
    options: Mapping[str, Any] = field(default_factory=dict)
    deep_learning: bool = True
    packages: Packages = field(default_factory=lambda: Packages())
    setup: str = ""


@dataclass(frozen=True)
class Packages:
    """Additional packages: Debian's (`apt`) and Python's (`pip`)."""

    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()


FOLDER_PORT = 18080
"""Port on a node's loopback from which connections lead to a store that is a folder."""


@dataclass(frozen=True)
class ObjectStoreSpec:
    """Where the data lives that outlives clusters. `kind`: local, none, s3, swift or folder (at `path`).

    `endpoint` is '' for Amazon's own S3 in `region`, of Swift the URL of its auth service. `credentials`:
    keys (given in the vault, or those of the AWS tools) or role (that of each machine).
    """

    kind: str = "local"
    name: str = "default"
    container: str = "muster"
    endpoint: str = ""
    region: str = "us-east-1"
    credentials: str = "keys"
    path: str = ""

    @property
    def url(self) -> str:
        """The URL that nodes ask a store at that is no machine of ours; '' for the other kinds."""
        if self.kind == "folder":
            return f"http://127.0.0.1:{FOLDER_PORT}"
        if self.kind == "s3":
            return self.endpoint or f"https://s3.{self.region}.amazonaws.com"
        return self.endpoint

    @property
    def virtual_host(self) -> bool:
        """Whether the container is part of the host's name: Amazon's own S3 wants it so."""
        return self.kind == "s3" and not self.endpoint

    @property
    def elsewhere(self) -> bool:
        """Whether it is a store that others run, reached over the network."""
        return self.kind in ("s3", "swift")


@dataclass(frozen=True)
class DatasetSpec:
    """What is analysed. `source`: `digits` or a folder of images; `labels`: its CSV file, relative to it."""

    source: str = "digits"
    name: str = "digits"
    labels: str = ""


@dataclass(frozen=True)
class ClusterSpec:
    """A validated config file.

    `nodes` counts master + workers, the wished size of this run when `-e NUM_NODES` is given (`nodes_given`).
    `options` are the provider blocks (`local`, `ec2`, `softlayer`) and the keys that only some pieces read.
    """

    name: str
    provider: str
    nodes: int
    groups: tuple[NodeGroup, ...]
    object_store: ObjectStoreSpec
    dataset: DatasetSpec
    packages: Packages
    setup: str
    access: Mapping[str, str]
    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    nodes_given: bool = False

    @property
    def ends_by_itself(self) -> bool:
        """Whether machines power themselves off one day, and should be gone at their provider then."""
        budget = self.options.get("budget", {}).get("total")
        return bool(self.options.get("ttl") or self.options.get("autostop") or budget)

    def group(self, name: str) -> NodeGroup:
        """Return the group `name`. Raises KeyError when there is none."""
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(name)


@dataclass(frozen=True)
class ClusterIdentity:
    """A cluster's name and its random id (8 hex digits), made once and kept in the state folder."""

    name: str
    id: str


@dataclass(frozen=True)
class Machine:
    """A machine as its provider reports it.

    `address` is the private address ('' when not known yet), `created` seconds since the epoch, `token` the
    client token of the create call, `image` the key of the recipe it was booted from ('' = base image),
    `data_device` the stable path of its data disk ('' = none), `host_key` the host key (`ssh-ed25519 AAAA…`)
    of a machine that was known before ('' = learnt with the bootstrap key).
    """

    provider_id: str
    name: str
    group: str
    state: NodeState
    address: str
    ssh_address: str
    created: float
    token: str
    image: str = ""
    data_device: str = ""
    host_key: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Price:
    """What one machine costs in US dollars an hour. `source` says where the figure is from, and its date."""

    hourly: float
    source: str


@dataclass(frozen=True)
class Node:
    """A machine of a cluster together with the group it belongs to."""

    machine: Machine
    group: NodeGroup

    @property
    def name(self) -> str:
        """The machine's name."""
        return self.machine.name

    @property
    def address(self) -> str:
        """The machine's private address."""
        return self.machine.address


@dataclass(frozen=True)
class CreateRequest:
    """One create call: machines of one group, all with the same user-data. Same token = same machines."""

    cluster: ClusterIdentity
    group: NodeGroup
    names: tuple[str, ...]
    token: str
    user_data: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What to do so that the machines are as wished. A plan with `refuse` must not be carried out."""

    create: tuple[tuple[NodeGroup, tuple[str, ...]], ...] = ()
    start: tuple[Machine, ...] = ()
    delete: tuple[Machine, ...] = ()
    keep: tuple[Machine, ...] = ()
    refuse: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """True when nothing is to be created, started or deleted."""
        return not (self.create or self.start or self.delete)


@dataclass(frozen=True)
class Outcome:
    """What a verb did: names of machines."""

    created: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """True when anything was created, started or deleted."""
        return bool(self.created or self.started or self.deleted)


@dataclass(frozen=True)
class Term:
    """What the journal knows of a cluster's life.

    Times are seconds since the epoch, money is US dollars. `deadline` 0 = none; `spent` until `since`,
    `hourly` from then on (both only counted with `budget.total`); `pending`: why machines must still be told,
    '' = they know.
    """

    deadline: float = 0.0
    spent: float = 0.0
    hourly: float = 0.0
    since: float = 0.0
    pending: str = ""

    def cost(self, now: float) -> float:
        """Return what the machines have cost until `now`; after the deadline they cost nothing."""
        until = min(now, self.deadline) if self.deadline else now
        return self.spent + self.hourly * max(0.0, until - self.since) / 3600
