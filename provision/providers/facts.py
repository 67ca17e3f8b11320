"""What is known of a provider without asking it: each has a `facts.py` in its folder, whose FACTS this finds.

All of it is quick: no facts import a cloud's own library, since Ansible's inventory is made with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from provision.core.model import Machine, MachineType
from provision.core.spec import ClusterSpec, NodeGroup

if TYPE_CHECKING:
    from provision.core.schema import Model, SettingsModel  # slow to import, and most commands never need it


@dataclass(frozen=True)
class Deadlines:
    """Seconds. `boot`: from the order to SSH. `gone`: from a delete call to the machine's end.

    `settle`: after a create call without an answer, until its machines must be visible if there are any.
    """

    boot: float
    gone: float = 60
    settle: float = 0


class Facts:
    """One provider's data, and pure functions of a config. What most have in common is here."""

    name: ClassVar[str]
    deadlines: ClassVar[Deadlines]
    """Overridable by `deadlines:` in the config file."""

    block: ClassVar[type[SettingsModel] | None] = None
    """The config file's block of the provider's name; None where it has none."""
    group: ClassVar[type[Model]]
    """Keys of a group that this provider reads and no other need know."""
    settings: ClassVar[type[SettingsModel]]
    """A group's keys over those of the block."""

    paid: ClassVar[bool] = True
    """False where nobody is paid for machines; where True, a price of None is one that is not known."""
    shared: ClassVar[bool] = False
    """Machines are their owner's: they have other uses, accounts and rules, all of which stay."""
    here: ClassVar[bool] = False
    """Machines are on this computer: images are made here, and its object store is within reach."""
    poweroff_deletes: ClassVar[bool] = False
    """Machines can be deleted by powering themselves off; whether they are is asked of the provider."""
    machine_roles: ClassVar[bool] = False
    """Machines can have a role of their own that opens an object store."""

    reshapes: ClassVar[bool] = False
    """Machines that are off can be given other processors and memory, and keep their disks."""
    images: ClassVar[str] = ""
    """How images of one's own are made, where `./muster images bake` does not."""
    at_once: ClassVar[int] = 0
    """The most machines of one create call; 0 = as many as there are."""
    at_end: ClassVar[str]
    """What becomes of machines at the end of their time, and what bills then."""
    when_stopped: ClassVar[str]
    """What stopped machines cost."""
    tells_prices: ClassVar[str] = ""
    """What to do so that prices are known of which nothing is known, '' = nothing can be done."""
    types_without: ClassVar[str] = "no kinds of machines are known without asking: say --shape"
    """What `types` does not know, as nobody was asked."""
    cancel_variables: ClassVar[tuple[str, ...]] = ()
    """Variables (of the vault) that `cancel_calls` asks for; those that are not given are ''."""

    def types(self) -> list[MachineType]:
        """Return the kinds of machines that are known without asking anybody."""
        return []

    def merged(self, block: SettingsModel | None, own: Mapping[str, Any]) -> SettingsModel:
        """Return a group's settings: its own keys over those of the block. Raises ValidationError."""
        known = block.model_dump(exclude_defaults=True) if block else {}
        return self.settings.model_validate(known | dict(own))

    def site(self, group: NodeGroup) -> str:  # noqa: ARG002
        """Return the name of the group's private network; groups at one site share it."""
        return self.name

    def size(self, group: NodeGroup) -> str:
        """Return what kind of machines a group has, in words."""
        return f"{group.cores} cores, {group.memory_gb:g} GiB"

    def decides_shape(self, group: NodeGroup) -> str:  # noqa: ARG002
        """Return which key decides what machines have; '' = `cores` and `memory_gb` do."""
        return ""

    def memory_gb(self, group: NodeGroup) -> float | None:  # noqa: ARG002
        """Return GiB of memory of a group's machines as the config says; None: only the provider knows."""
        return None

    def has_gpu(self, group: NodeGroup) -> bool:  # noqa: ARG002
        """Return whether the group's machines have GPUs, whose driver and PyTorch are to be installed."""
        return False

    def as_made(self, group: NodeGroup, machine: Machine) -> NodeGroup:  # noqa: ARG002
        """Return the group narrowed down to what the machine has become, where the group leaves a choice."""
        return group

    def private_address_only(self, group: NodeGroup) -> bool:  # noqa: ARG002
        """Return whether the config says that the group is reached by its private addresses."""
        return False

    def address_service(self, spec: ClusterSpec) -> str:  # noqa: ARG002
        """Return the URL that tells this computer's own address, where machines let in no other by default.

        '' where they do not ask who reaches SSH, or are not reached over the internet.
        """
        return ""

    def ssh_from(self, spec: ClusterSpec, admitted: Sequence[str]) -> list[str]:  # noqa: ARG002
        """Return the networks from which machines themselves let SSH in; [] = that is not their business.

        Args:
            spec: the config, whose `allow_from` counts.
            admitted: who was let in besides.
        """
        return []

    def refusals(self, spec: ClusterSpec, group: NodeGroup) -> list[str]:  # noqa: ARG002
        """Return why the provider cannot have such a group in this cluster, one line each."""
        return []

    def ending(self, spec: ClusterSpec) -> str:  # noqa: ARG002
        """Return what becomes of a cluster's machines at the end of their time, in words."""
        return self.at_end

    def cancels(self, spec: ClusterSpec) -> bool:  # noqa: ARG002
        """Return whether the user lets the master cancel the cluster's machines here."""
        return False

    def check_cancel(self, spec: ClusterSpec, given: Iterable[str]) -> None:
        """Check, before anything is made, that the master can be given what it cancels with, if it shall.

        Args:
            spec: the config.
            given: names of the variables that there are.

        Raises:
            NotReady: something is missing.
        """

    def cancel_calls(self, machines: Sequence[str], variables: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the requests with which the master cancels machines, by their ids, in this order.

        Args:
            machines: their ids.
            variables: see `cancel_variables`.
        """
        raise NotImplementedError(f"{self.name}: machines here are not cancelled by the master")


@cache
def facts_of(name: str) -> Facts:
    """Return a provider's facts. Raises ModuleNotFoundError when there is no such provider."""
    found: Facts = import_module(f"provision.providers.{name}.facts").FACTS
    return found


def facts_in(spec: ClusterSpec) -> list[Facts]:
    """Return the facts of the providers that a cluster has machines at, in the order of their names."""
    return [facts_of(name) for name in sorted({group.provider for group in spec.groups if group.count != 0})]


def deadlines(spec: ClusterSpec, provider: str) -> Deadlines:
    """Return the deadlines for machines of `provider`."""
    asked = {name: seconds for name, seconds in asdict(spec.deadlines).items() if seconds is not None}
    return Deadlines(**{**asdict(facts_of(provider).deadlines), **asked})


def site(group: NodeGroup) -> str:
    """Return the name of the private network that the group's machines are in; those at one site share it."""
    return facts_of(group.provider).site(group)


def is_gpu_group(group: NodeGroup) -> bool:
    """Return True for the group `gpu` and for groups called `gpu_…`."""
    return group.name.split("_")[0] == "gpu"


def is_shared(name: str) -> bool:
    """Return whether a provider's machines are their owner's; see `Facts.shared`."""
    return facts_of(name).shared


def cancel_variables(spec: ClusterSpec) -> list[str]:
    """Return the variables that the cluster's providers ask for when the master is to cancel machines."""
    return [name for facts in facts_in(spec) if facts.cancels(spec) for name in facts.cancel_variables]


def to_cancel(spec: ClusterSpec, machines: Iterable[Machine], master: str) -> dict[str, list[str]]:
    """Return, by provider, the ids of machines that the master may cancel; the master's own last.

    Args:
        spec: the config: nothing is cancelled unless the user opted in.
        machines: those of the cluster.
        master: name of the master's group.
    """
    groups = {group.name: group.provider for group in spec.groups}
    ours = sorted(machines, key=lambda machine: machine.group == master)
    return {
        facts.name: [machine.provider_id for machine in ours if groups.get(machine.group) == facts.name]
        for facts in map(facts_of, sorted(set(groups.values())))
        if facts.cancels(spec)
    }
