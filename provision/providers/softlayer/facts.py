"""What is known of SoftLayer without asking it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from provision.core.errors import NotReady
from provision.core.spec import ClusterSpec, NodeGroup
from provision.providers.facts import Deadlines, Facts
from provision.providers.softlayer import last_calls
from provision.providers.softlayer.config import SoftLayerBlock, SoftLayerGroup, SoftLayerSettings


class SoftLayerFacts(Facts):
    """Virtual guests of SoftLayer / IBM Cloud Classic."""

    name = "softlayer"
    deadlines = Deadlines(boot=2700, gone=900, settle=180)
    block: ClassVar = SoftLayerBlock
    group: ClassVar = SoftLayerGroup
    settings: ClassVar = SoftLayerSettings
    at_end = "machines on softlayer power off but BILL ON until `./muster reap` cancels them"
    cancelled = (
        "machines on softlayer are cancelled by the master, with its own API key; nothing bills after that"
    )
    when_stopped = "stopped machines on softlayer BILL ON as if they ran, until destroy"
    cancel_variables = (*last_calls.KEY, last_calls.ENDPOINT)

    def size(self, group: NodeGroup) -> str:
        """A flavor says it all."""
        return SoftLayerSettings.of(group).flavor or super().size(group)

    def private_address_only(self, group: NodeGroup) -> bool:
        """See `Facts.private_address_only`."""
        return SoftLayerSettings.of(group).ssh_address == "private"

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
