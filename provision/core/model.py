"""Machines and what is planned for them: the types that everything else speaks in. All are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from provision.core.spec import NodeGroup


class NodeState(StrEnum):
    """What a provider says about a machine."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    DELETING = "deleting"
    GONE = "gone"


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
