"""What is known of SoftLayer without asking it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from provision.core.errors import NotReady
from provision.core.model import MachineType
from provision.core.networks import PRIVATE
from provision.core.spec import ClusterSpec, NodeGroup
from provision.providers import prices
from provision.providers.facts import Deadlines, Facts, is_gpu_group
from provision.providers.softlayer import last_calls
from provision.providers.softlayer.config import SoftLayerBlock, SoftLayerGroup, SoftLayerSettings
from provision.providers.softlayer.templates import flavor_size, wish

_GPU_FLAVOR = re.compile(r"ACL?\d_")
"""Flavors with graphics cards."""


class SoftLayerFacts(Facts):
    """Virtual guests of SoftLayer / IBM Cloud Classic."""

    name = "softlayer"
    deadlines = Deadlines(boot=2700, gone=900, settle=180)
    block: ClassVar = SoftLayerBlock
    group: ClassVar = SoftLayerGroup
    settings: ClassVar = SoftLayerSettings
    images = "images at softlayer are made by hand: docs/softlayer.md"
    at_end = "machines on softlayer power off but BILL ON until `./muster reap` cancels them"
    cancelled = (
        "machines on softlayer are cancelled by the master, with its own API key; nothing bills after that"
    )
    when_stopped = (
        "stopped machines on softlayer cost their disks, which BILL ON until destroy, and at least 25 % of a "
        "billing cycle's hours; with local disks, without a flavor or by the month they BILL ON as if on"
    )
    types_without = (
        "SoftLayer was not asked: it alone knows prices, and what an account is offered (./muster plan)"
    )
    at_once = 10
    cancel_variables = (*last_calls.KEY, last_calls.ENDPOINT)

    def types(self) -> list[MachineType]:
        """IBM's public flavors, whose names say what they have; see `Facts.types`."""
        return prices.types(self.name)

    def size(self, group: NodeGroup) -> str:
        """A flavor says it all."""
        return SoftLayerSettings.of(group).flavor or super().size(group)

    def decides_shape(self, group: NodeGroup) -> str:
        """See `Facts.decides_shape`."""
        settings = SoftLayerSettings.of(group)
        if settings.startCpus or settings.maxMemory:
            return "softlayer.startCpus (or maxMemory)"
        return f"groups.{group.name}.flavor" if settings.flavor else ""

    def memory_gb(self, group: NodeGroup) -> float | None:
        """A flavor's name says it, else the group."""
        wanted = wish(group)
        return flavor_size(wanted.flavor).get("memory_gb") if wanted.flavor else wanted.memory_mb / 1024

    def private_address_only(self, group: NodeGroup) -> bool:
        """See `Facts.private_address_only`."""
        return SoftLayerSettings.of(group).ssh_address == "private"

    def address_service(self, spec: ClusterSpec) -> str:
        """Machines with a public address let in this computer alone; see `Facts.address_service`."""
        settings = [SoftLayerSettings.of(group) for group in spec.groups if group.provider == self.name]
        public = any(not one.private_only and one.ssh_address != "private" for one in settings)
        return spec.block(SoftLayerBlock).address_service if public else ""

    def ssh_from(self, spec: ClusterSpec, admitted: Sequence[str]) -> list[str]:
        """As the security group has it; and from the account's private network, which is a way back in."""
        return [*spec.allow_from, *admitted, *(() if spec.allow_from else PRIVATE)]

    def refusals(self, spec: ClusterSpec, group: NodeGroup) -> list[str]:  # noqa: ARG002
        """Graphics cards are not to be had here: see docs/softlayer.md."""
        flavor = SoftLayerSettings.of(group).flavor
        if is_gpu_group(group) or _GPU_FLAVOR.match(flavor):
            named = f"groups.{group.name}{f' ({flavor})' if flavor else ''}"
            why = "Muster cannot make at softlayer: IBM has them for old systems only"
            return [f"{named} would have graphics cards, which {why}. Say provider: ec2 for the group"]
        return []

    def ending(self, spec: ClusterSpec) -> str:
        """Powered off they bill on, so the user may let the master cancel them."""
        return self.cancelled if self.cancels(spec) else self.at_end

    def cancels(self, spec: ClusterSpec) -> bool:
        """See `Facts.cancels`."""
        return spec.block(SoftLayerBlock).self_cancel

    def check_cancel(self, spec: ClusterSpec, given: Iterable[str]) -> None:
        """See `Facts.check_cancel`."""
        missing = [name for name in last_calls.KEY if name not in set(given)] if self.cancels(spec) else []
        if missing:
            raise NotReady(
                where=f"{self.name}.self_cancel",
                what=f"there is no {' and no '.join(missing)}",
                remedy="Put them into group_vars/all/vault.yml (docs/lifetime.md), or remove self_cancel",
            )

    def cancel_calls(self, machines: Sequence[str], variables: Mapping[str, str]) -> list[dict[str, Any]]:
        """See `Facts.cancel_calls`."""
        username, api_key, endpoint = (variables.get(name, "") for name in self.cancel_variables)
        return last_calls.requests(machines, username, api_key, endpoint)


FACTS = SoftLayerFacts()
