"""What is found out before anything is ordered: each refusal is one line, and nothing is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from provision.core.errors import NotReady
from provision.core.model import ClusterIdentity, CreateRequest, Machine, Plan
from provision.core.spec import ClusterSpec, NodeGroup
from provision.providers.ec2 import requests
from provision.providers.ec2.client import NAME, Clients
from provision.providers.ec2.config import Ec2Settings
from provision.providers.ec2.kinds import Kinds
from provision.providers.ec2.ledger import Alternative, Order
from provision.providers.ec2.market import Market
from provision.providers.ec2.network import Networks
from provision.providers.ec2.quotas import Need, Quotas, code_for

NOT_ASKED = "ec2: whether there is room for the machines is only known when they are ordered"
_NOBODY = ClusterIdentity("muster-check", "00000000")


@dataclass
class Checks:
    """The checks of one config. `region`, `alternatives`: of a group."""

    clients: Clients
    kinds: Kinds
    networks: Networks
    market: Market
    region: Callable[[NodeGroup], str]
    alternatives: Callable[[NodeGroup], Sequence[Alternative]]

    def run(self, spec: ClusterSpec, plan: Plan) -> list[str]:
        """Check a plan; return what could not be asked for. Raises NotReady, ProviderError."""
        wanted = [(group, names) for group, names in plan.create if group.provider == NAME]
        for region in sorted({self.region(group) for group, _ in wanted}):
            self.clients.identify(region)
        self._require_one_vpc(spec)
        found = {group.name: self.alternatives(group) for group, _ in wanted}
        for group, _ in wanted:
            self._require_public_address(group)
            self._check_price(group)
        unknown = self._check_quotas(wanted, plan)
        for group, names in wanted:
            self._rehearse(group, names, found[group.name][0])
        started = any(_is_ours(machine) for machine in plan.start)
        return [*unknown, NOT_ASKED] if wanted or started else []

    def _require_one_vpc(self, spec: ClusterSpec) -> None:
        """Raise NotReady when groups of a region could not reach each other."""
        found: dict[str, dict[str, str]] = {}
        for group in spec.groups:
            if group.provider == NAME:
                region = self.region(group)
                found.setdefault(region, {})[self.networks.place(region, group).vpc] = group.name
        for region, vpcs in found.items():
            if len(vpcs) > 1:
                raise NotReady(
                    where="ec2.subnet",
                    what=f"the groups {' and '.join(vpcs.values())} are in different VPCs of {region}",
                    remedy="Name subnets of one VPC",
                )

    def _require_public_address(self, group: NodeGroup) -> None:
        """Raise NotReady when nobody has said how machines without a public address are reached."""
        settings = Ec2Settings.of(group)
        place = self.networks.place(self.region(group), group)
        if settings.ssh_address == "auto" and place.private and not settings.jump_host:
            raise NotReady(
                where=f"groups.{group.name}",
                what=f"machines get no public address in {', '.join(place.private)}",
                remedy="Set ec2.ssh_address: public (they are given one) or private (a VPN, ec2.jump_host)",
            )

    def _check_price(self, group: NodeGroup) -> None:
        """Raise NotReady when no type of a spot group can be had for its maximum price."""
        settings = Ec2Settings.of(group)
        limit = settings.max_price
        if not settings.spot or limit is None or settings.on_demand:
            return
        found = {
            price: f"{kind} in {zone}"
            for kind in settings.instance_type
            for zone, price in self.market.spot_prices(self.region(group), kind).items()
        }
        if found and min(found) > limit:
            cheapest = min(found)
            raise NotReady(
                where=f"groups.{group.name}.max_price",
                what=f"{limit:g} is below the market: {found[cheapest]} costs {cheapest:g} dollars an hour",
                remedy="Offer more, name other types, or allow `on_demand: true`",
            )

    def _check_quotas(self, wanted: Sequence[tuple[NodeGroup, Sequence[str]]], plan: Plan) -> list[str]:
        """Compare vCPUs with the account's quotas; return which could not be asked for. Raises NotReady."""
        needs: dict[str, list[Need]] = {}
        for group, names in wanted:
            options = {code: cores * len(names) for code, cores in self._options(group).items()}
            needs.setdefault(self.region(group), []).append(Need(f"groups.{group.name}", options))
        quotas = Quotas(self.clients, self.kinds)
        for machine in plan.start:
            if _is_ours(machine):
                region = machine.provider_id.partition("/")[0]
                code = code_for(machine.labels["instance_type"], spot=False)
                needs.setdefault(region, []).append(
                    Need(machine.name, {code: float(machine.labels["cores"])})
                )
        return [line for region in sorted(needs) for line in quotas.check(region, needs[region])]

    def _options(self, group: NodeGroup) -> Mapping[str, float]:
        """Return the vCPUs of a machine of the group, of its smallest type in each quota."""
        settings = Ec2Settings.of(group)
        markets = {settings.spot, settings.spot and not settings.on_demand}
        found: dict[str, float] = {}
        for kind in self.kinds.require(self.region(group), group):
            for spot in markets:
                code = code_for(kind.name, spot=spot)
                found[code] = min(found.get(code, kind.cores), kind.cores)
        return found

    def _rehearse(self, group: NodeGroup, names: Sequence[str], chosen: Alternative) -> None:
        """Let AWS say whether the order would be permitted, without making anything."""
        request = CreateRequest(_NOBODY, group, tuple(names), "check", "", "")
        common = requests.common(request, key_name="", security_group="", lives=True)
        order = Order(self.region(group), len(names), common, (chosen,))
        requests.rehearse(self.clients.ec2(order.region), order, f"groups.{group.name}")


def _is_ours(machine: Machine) -> bool:
    """Return whether a machine is one at EC2, by its id."""
    return machine.provider_id.partition("/")[2].startswith("i-")
