"""What is known of Amazon EC2 without asking it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from provision.core.model import Machine
from provision.core.spec import NodeGroup
from provision.providers.ec2.config import Ec2Block, Ec2Group, Ec2Settings
from provision.providers.facts import Deadlines, Facts


class Ec2Facts(Facts):
    """Machines at Amazon EC2."""

    name = "ec2"
    deadlines = Deadlines(boot=600, gone=300)
    block: ClassVar = Ec2Block
    group: ClassVar = Ec2Group
    settings: ClassVar = Ec2Settings
    machine_roles = True
    at_end = "instances on ec2 terminate themselves, with their disks; nothing bills after that"
    when_stopped = "stopped instances on ec2 cost nothing, their disks BILL ON until destroy"

    def site(self, group: NodeGroup) -> str:
        """Regions are networks of their own."""
        region = Ec2Settings.of(group).region
        return f"{self.name}:{region}" if region else self.name

    def size(self, group: NodeGroup) -> str:
        """Machines are chosen by their type."""
        return " or ".join(Ec2Settings.of(group).instance_type) or super().size(group)

    def as_made(self, group: NodeGroup, machine: Machine) -> NodeGroup:
        """A machine has become one of the types that the group names."""
        kind = machine.labels.get("instance_type")
        chosen = {"instance_type": (kind,)} if kind else {}
        return replace(group, settings=Ec2Settings.of(group).model_copy(update=chosen))

    def private_address_only(self, group: NodeGroup) -> bool:
        """See `Facts.private_address_only`."""
        return Ec2Settings.of(group).ssh_address == "private"


FACTS = Ec2Facts()
