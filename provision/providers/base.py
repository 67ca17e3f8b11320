"""What every provider can do. It talks to its API; it never counts, decides or waits for SSH."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from provision.core.model import ClusterIdentity, CreateRequest, Machine, MachineType, Plan, Price
from provision.core.spec import ClusterSpec, NodeGroup
from provision.providers.facts import facts_of
from provision.providers.imaging import ImageMaker

Machines = list[Machine]  # inside the class, `list` is the verb
Texts = list[str]
Types = list[MachineType]


class Provider(ABC):
    """A source of machines. Every method raises `ProviderError` (or `NotReady`) when the provider refuses.

    Args:
        spec: the config of a cluster.
        notes: the cluster's state folder, where a provider keeps what it must remember.
    """

    name: ClassVar[str]

    def __init__(self, spec: ClusterSpec, notes: Path) -> None:
        self.spec = spec
        self.notes = notes

    @property
    def paid(self) -> bool:
        """False where nobody is paid for machines; where True, a price of None is one that is not known."""
        return facts_of(self.name).paid

    @abstractmethod
    def check_ready(self, spec: ClusterSpec, plan: Plan) -> Texts:
        """Find out, before anything is changed, whether the plan can be carried out. Changes nothing.

        Returns:
            what could not be asked for, one line each.

        Raises:
            NotReady: it cannot; the message says what is missing and what to do.
        """

    def types(self, group: NodeGroup) -> Types:  # noqa: ARG002
        """Return which kinds a group's machines may be of, where this provider alone knows what they have."""
        return []

    @abstractmethod
    def list(self, cluster: ClusterIdentity) -> Machines:
        """Return the machines of a cluster as they are now, those being created or deleted included."""

    @abstractmethod
    def create(self, request: CreateRequest) -> Machines:
        """Order machines; the same token twice yields the same machines, also after a crash in between."""

    @abstractmethod
    def start(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        """Boot stopped machines: the same disks, the same addresses."""

    @abstractmethod
    def stop(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        """Power machines off in an orderly way; their disks stay."""

    def reshape(self, cluster: ClusterIdentity, group: NodeGroup, machines: Sequence[Machine]) -> None:
        """Give machines that are off their group's processors and memory; disks and addresses stay.

        Their labels tell it from then on; again is harmless. Only where `Facts.reshapes`.
        """
        raise NotImplementedError(f"{self.name}: machines here are not reshaped")

    @abstractmethod
    def delete(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> Texts:
        """Delete machines and see them go; with the last one goes what the cluster shared.

        Returns:
            what was removed of that, in words a user knows (`key pair muster-a-0123abcd`).
        """

    @abstractmethod
    def label(self, cluster: ClusterIdentity, labels: Mapping[str, Mapping[str, str]]) -> None:
        """Write labels that machines have from then on: provider id -> name -> value; others stay."""

    @abstractmethod
    def everything(self) -> Machines:
        """Return the machines of all clusters here, each with the labels `cluster` and `cluster_id`.

        The label `mine` is `no` where somebody else alone can delete it.
        """

    @abstractmethod
    def price(self, group: NodeGroup) -> Price | None:
        """Return what a machine of the group costs; None when that is not known, or nobody is paid."""

    def price_stopped(self, group: NodeGroup) -> Price | None:
        """Return what a stopped machine still costs: as much as before, where a provider knows no better."""
        return self.price(group)

    def at_poweroff(self, cluster: ClusterIdentity, machines: Sequence[Machine], *, delete: bool) -> None:  # noqa: B027
        """Let machines that power themselves off be deleted, or stay; again is harmless.

        Nothing to be done where `Facts.poweroff_deletes` is False.
        """

    def stays_at_poweroff(self, machines: Sequence[Machine]) -> Texts:  # noqa: ARG002
        """Return the names of machines that would stay, and bill on, as the provider itself tells."""
        return []

    def image_maker(self) -> ImageMaker | None:
        """Return what makes images of machines here; None: `Facts.images` says how it is done instead."""
        return None

    def unlike(self, group: NodeGroup, machine: Machine) -> Texts:
        """Return in what an existing machine is not as its group says now, e.g. `2 cores, not 4`."""
        return sizes(machine, cores=group.cores, memory_gb=group.memory_gb, data_disk_gb=group.data_disk_gb)

    def cut_off(self, cluster: ClusterIdentity, *, mend: bool = False) -> Texts:  # noqa: ARG002
        """Return what on this computer keeps packets of a running cluster from going where they should.

        Args:
            cluster: whose packets.
            mend: put it right.

        Returns:
            one line a fault; none where machines are elsewhere.
        """
        return []

    def allow(
        self,
        cluster: ClusterIdentity,  # noqa: ARG002
        networks: Sequence[str],  # noqa: ARG002
        *,
        only: bool = False,  # noqa: ARG002
        keep: Sequence[str] = (),  # noqa: ARG002
    ) -> tuple[Texts, Texts]:
        """Let networks reach SSH of a cluster's machines.

        Args:
            cluster: whose machines.
            networks: all that may reach it.
            only: others may not any more.
            keep: those that may go on all the same where they may now, see `admit_master`.

        Returns:
            those that could not before, and those that cannot any more; a provider without a firewall outside
            of the machines has nothing to do.
        """
        return [], []

    def admit_master(  # noqa: B027  nothing to be done without a firewall outside of the machines
        self,
        cluster: ClusterIdentity,
        groups: Sequence[NodeGroup],
        networks: Sequence[str],
        gone: Sequence[str],
    ) -> None:
        """Let a master that is elsewhere reach SSH of groups here; again is harmless.

        Args:
            cluster: whose machines.
            groups: those that have machines here.
            networks: from which they see it come.
            gone: from which they saw it before.
        """


UNITS = {"cores": "cores", "memory_gb": "GiB of memory", "data_disk_gb": "GB of data disk"}


def sizes(machine: Machine, **wanted: float) -> list[str]:
    """Return in which of the wanted sizes (keys of UNITS) a machine differs, e.g. `2 cores, not 4`."""
    labels = machine.labels
    return [
        f"{labels[key]} {UNITS[key]}, not {value:g}"
        for key, value in wanted.items()
        if key in labels and f"{float(labels[key]):g}" != f"{value:g}"  # labels are rounded like this
    ]
