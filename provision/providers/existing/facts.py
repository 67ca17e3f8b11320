"""What is known of hosts that the user has already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from provision.core.spec import ClusterSpec, NodeGroup
from provision.providers.existing.config import ExistingGroup, ExistingSettings
from provision.providers.facts import Deadlines, Facts


class ExistingFacts(Facts):
    """Hosts of the user's own."""

    name = "existing"
    deadlines = Deadlines(boot=60)
    group: ClassVar = ExistingGroup
    settings: ClassVar = ExistingSettings
    paid = False
    shared = True
    images = "hosts of your own start from what is on them: no image is made"
    at_end = "hosts of your own go on running"
    when_stopped = "hosts of your own stay on; only the cluster's services on them are stopped"

    def decides_shape(self, group: NodeGroup) -> str:
        """Hosts have what they have."""
        return f"groups.{group.name}.hosts"

    def memory_gb(self, group: NodeGroup) -> float | None:
        """Services are sized by what the group says; hosts that have less are refused."""
        return group.memory_gb

    def ssh_from(self, spec: ClusterSpec, admitted: Sequence[str]) -> list[str]:
        """Only where the config says so: their owner has other ways in."""
        return [*spec.allow_from, *admitted] if spec.allow_from else []

    def refusals(self, spec: ClusterSpec, group: NodeGroup) -> list[str]:
        """There must be a host for each machine, and none may be two machines."""
        hosts, wanted, found = _addresses(group), spec.size(group), []
        if len(hosts) < wanted:
            found.append(
                f"groups.{group.name} has {len(hosts)} hosts and needs {wanted}. Name more under "
                f"groups.{group.name}.hosts, or wish for fewer nodes"
            )
        others = [one for one in spec.groups if one.name < group.name and one.provider == self.name]
        twice = {host for other in others for host in _addresses(other)} & set(hosts)
        if twice or len(set(hosts)) < len(hosts):
            double = sorted(twice or {host for host in hosts if hosts.count(host) > 1})
            found.append(f"{', '.join(double)} stands twice under hosts. Name each host once")
        return found


def _addresses(group: NodeGroup) -> list[str]:
    return [host.address for host in ExistingSettings.of(group).hosts]


FACTS = ExistingFacts()
