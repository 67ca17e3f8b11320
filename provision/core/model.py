"""Machines and what is planned for them: the types that everything else speaks in. All are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from provision.core.names import BILLS_ON, NODE_GROUPS
from provision.core.spec import NodeGroup, Shape


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

    `provider_id` names no other machine, ever: a host key kept of one must not pass to the next.
    `address` is the private address ('' when not known yet), `public` the one that the whole internet reaches
    ('' = none), `ssh_address` that by which this computer does, `created` seconds since the epoch, `token`
    the client token of the create call, `image` the key of the recipe it was booted from ('' = base image),
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
    public: str = ""

    @property
    def bills_as_stopped(self) -> bool:
        """Whether it costs what a stopped machine costs."""
        return self.state is NodeState.STOPPED and self.labels.get(BILLS_ON) != "yes"


@dataclass(frozen=True)
class Price:
    """What one machine costs in US dollars an hour. `source` says where the figure is from, and its date."""

    hourly: float
    source: str


@dataclass(frozen=True)
class MachineType:
    """A kind of machine that can be had. `price` None = not known; `nodes` 0 = as many as one likes."""

    name: str
    provider: str
    shape: Shape
    price: Price | None = None
    nodes: int = 0


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
    """One create call: machines of one group, all with the same user-data. Same token = same machines.

    `ssh_from` are the networks from which SSH may reach them.
    """

    cluster: ClusterIdentity
    group: NodeGroup
    names: tuple[str, ...]
    token: str
    user_data: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ssh_from: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What to do so that the machines are as wished. A plan with `refuse` must not be carried out.

    `reshape`: machines of `keep` that get their group's cores and memory, and are off for a while.
    """

    create: tuple[tuple[NodeGroup, tuple[str, ...]], ...] = ()
    reshape: tuple[tuple[NodeGroup, tuple[Machine, ...]], ...] = ()
    start: tuple[Machine, ...] = ()
    delete: tuple[Machine, ...] = ()
    keep: tuple[Machine, ...] = ()
    refuse: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """True when nothing is to be created, reshaped, started or deleted."""
        return not (self.create or self.reshape or self.start or self.delete)

    @property
    def decommission(self) -> tuple[Machine, ...]:
        """Those to be deleted that may hold a part of HDFS, and were not on their way out already."""
        return tuple(
            one for one in self.delete if one.group in NODE_GROUPS and one.state is not NodeState.DELETING
        )


@dataclass(frozen=True)
class Outcome:
    """What a verb did: names of machines, and in words what else was removed."""

    created: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """True when anything was created, started, deleted, removed or reshaped."""
        return bool(self.created or self.started or self.deleted or self.removed or self.reshaped)


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
