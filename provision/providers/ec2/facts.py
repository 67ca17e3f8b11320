"""What is known of Amazon EC2 without asking it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from provision.core.model import Machine, MachineType
from provision.core.spec import ClusterSpec, NodeGroup
from provision.providers import prices
from provision.providers.ec2 import gpus
from provision.providers.ec2.config import Ec2Block, Ec2Group, Ec2Settings
from provision.providers.facts import Deadlines, Facts

LISTED = "us-east-1"
"""Where the table of list prices knows machines."""


class Ec2Facts(Facts):
    """Machines at Amazon EC2."""

    name = "ec2"
    deadlines = Deadlines(boot=600, gone=300)
    block: ClassVar = Ec2Block
    group: ClassVar = Ec2Group
    settings: ClassVar = Ec2Settings
    machine_roles = True
    poweroff_deletes = True
    at_end = "instances on ec2 terminate themselves, with their disks; nothing bills after that"
    types_without = (
        f"AWS was not asked: list prices on demand in {LISTED}; neither room nor quota was looked at"
    )
    tells_prices = "Let pricing:GetProducts be permitted, which knows all types and regions (docs/ec2.md)"
    when_stopped = "stopped instances on ec2 cost nothing, their disks BILL ON until destroy"

    def types(self) -> list[MachineType]:
        """Those of the table of list prices; see `Facts.types`."""
        return prices.types(self.name, place=LISTED)

    def site(self, group: NodeGroup) -> str:
        """Regions are networks of their own."""
        region = Ec2Settings.of(group).region
        return f"{self.name}:{region}" if region else self.name

    def size(self, group: NodeGroup) -> str:
        """Machines are chosen by their type."""
        return " or ".join(Ec2Settings.of(group).instance_type) or super().size(group)

    def decides_shape(self, group: NodeGroup) -> str:
        """See `Facts.decides_shape`."""
        return f"groups.{group.name}.instance_type"

    def has_gpu(self, group: NodeGroup) -> bool:
        """Some types have a GPU; a group's types all have one, or none has."""
        return any(gpus.has_gpu(kind) for kind in Ec2Settings.of(group).instance_type)

    def as_made(self, group: NodeGroup, machine: Machine) -> NodeGroup:
        """A machine has become one of the types that the group names."""
        kind = machine.labels.get("instance_type")
        chosen = {"instance_type": (kind,)} if kind else {}
        return replace(group, settings=Ec2Settings.of(group).model_copy(update=chosen))

    def private_address_only(self, group: NodeGroup) -> bool:
        """See `Facts.private_address_only`."""
        return Ec2Settings.of(group).ssh_address == "private"

    def address_service(self, spec: ClusterSpec) -> str:
        """The security group lets in this computer alone; see `Facts.address_service`."""
        return spec.block(Ec2Block).address_service


FACTS = Ec2Facts()
