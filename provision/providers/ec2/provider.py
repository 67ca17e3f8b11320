"""The verbs of the provider `ec2`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import ClassVar

from provision.core.errors import NotReady, OutcomeUnknown, ProviderError
from provision.core.model import ClusterIdentity, CreateRequest, Machine, MachineType, NodeState, Plan, Price
from provision.core.names import DEADLINE_LABEL, EXPERIMENT
from provision.core.spec import ClusterSpec, NodeGroup, Shape
from provision.core.text import names_of
from provision.core.wait import until
from provision.providers import base
from provision.providers.base import sizes
from provision.providers.ec2 import requests, tags
from provision.providers.ec2.checks import Checks
from provision.providers.ec2.client import NAME, Clients
from provision.providers.ec2.config import Ec2Block, Ec2Settings
from provision.providers.ec2.images import Images
from provision.providers.ec2.kinds import Kinds
from provision.providers.ec2.ledger import Alternative, Ledger, Order
from provision.providers.ec2.machines import Machines
from provision.providers.ec2.market import PUBLIC_ADDRESS, Market
from provision.providers.ec2.network import Networks
from provision.providers.ec2.own_images import Ec2Images
from provision.providers.ec2.placing import Placing, settling
from provision.providers.facts import deadlines


class Ec2Provider(base.Provider):
    """Machines at Amazon EC2. A machine's provider id is its region and AWS's id: `eu-west-1/i-0abc…`."""

    name: ClassVar[str] = NAME

    def __init__(self, spec: ClusterSpec, notes: Path) -> None:
        super().__init__(spec, notes)
        block = spec.block(Ec2Block)
        self._ledger = Ledger(notes)
        self._clients = Clients(block.profile)
        self._kinds = Kinds(self._clients)
        self._machines = Machines(
            self._clients, self._kinds, ssh_address=block.ssh_address, jump_host=block.jump_host
        )
        self._images = Images(self._clients, self._ledger)
        self._networks = Networks(self._clients, spec)
        self._market = Market(self._clients)
        self._home = block.region

    def check_ready(self, spec: ClusterSpec, plan: Plan) -> base.Texts:  # noqa: ARG002  (the spec of the constructor)
        """Check credentials, types, images, network, prices, quotas and permission of what is to be made."""
        checks = Checks(
            self._clients,
            self._kinds,
            self._networks,
            self._market,
            region=self._region,
            alternatives=partial(self._alternatives, recipe=""),
        )
        return checks.run(self.spec, plan)

    def types(self, group: NodeGroup) -> base.Types:
        """Return the group's instance types."""
        kinds = self._kinds.require(self._region(group), group)
        return [MachineType(kind.name, NAME, Shape(kind.cores, kind.memory_gb)) for kind in kinds]

    def list(self, cluster: ClusterIdentity) -> base.Machines:
        """Return the cluster's machines; those deleted within the last hour are among them, as gone."""
        within = {tags.CLUSTER_ID: cluster.id}
        return [machine for region in self._regions() for machine in self._machines.of(region, within)]

    def create(self, request: CreateRequest) -> base.Machines:
        """Order all machines of the request in one call; with the next type or zone when there is no room.

        Raises:
            NoCapacity: every alternative was tried.
            OutcomeUnknown: the order must be repeated.
            NotReady, ProviderError: nothing was made.
        """
        where = names_of(request.names)
        order = self._ledger.order(request.token) or self._new_order(request)
        client, attempts = self._clients.ec2(order.region, repeats=False), self._clients.attempts

        def ask(begun: Order) -> int:
            note = partial(self._ledger.begin, request.token, begun, begun.index)
            return requests.run(
                client, begun, request.token, request.user_data, where, attempts=attempts, note=note
            )

        def listed(begun: Order, deadline_s: float) -> base.Machines:
            return self._made(request.token, begun, where, deadline_s=deadline_s)

        made = Placing(request.token, order, self._ledger, where, ask, listed).place()
        return self._named(made, where) if order.count > 1 else made

    def unlike(self, group: NodeGroup, machine: Machine) -> base.Texts:
        """Compare region, type, market and data disk; cores and memory are the type's own."""
        region, kind = machine.provider_id.partition("/")[0], machine.labels["instance_type"]
        settings, wanted = Ec2Settings.of(group), self._region(group)
        found = [f"in {region}, not {wanted}"] if region != wanted else []
        kinds = settings.instance_type
        found += [f"{kind}, not {' or '.join(kinds)}"] if kind not in kinds else []
        spot = machine.labels.get("market") == "spot"
        if spot != settings.spot and not (settings.spot and settings.on_demand):
            found.append("spot, not on demand" if spot else "on demand, not spot")
        return found + sizes(machine, data_disk_gb=group.data_disk_gb)

    def start(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        """Boot stopped machines; their public addresses may be others than before."""
        self._machines.start(_ids(machines), {tags.CLUSTER_ID: cluster.id}, self._gone_s)

    def stop(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        """Power machines off; their disks stay (and are billed). Spot machines cannot be stopped."""
        self._machines.stop(_ids(machines), {tags.CLUSTER_ID: cluster.id}, self._gone_s)

    def delete(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> base.Texts:
        """Delete machines; with the last one security group and key pair, whatever of it is left."""
        within = {tags.CLUSTER_ID: cluster.id}
        self._machines.terminate(_ids(machines), within, self._gone_s)
        removed = []
        for region in self._regions():
            if _alive(self._machines.of(region, within)):
                continue
            if self._await_latecomers(region) and _alive(self._machines.of(region, within)):
                continue  # whoever lists the cluster's machines to see whether all are gone finds them
            removed += self._networks.remove(region, cluster)
        return removed

    def label(self, cluster: ClusterIdentity, labels: Mapping[str, Mapping[str, str]]) -> None:  # noqa: ARG002
        """Write labels of machines as tags."""
        by_region: dict[str, dict[str, Mapping[str, str]]] = {}
        for provider_id, more in labels.items():
            region, _, own = provider_id.partition("/")
            by_region.setdefault(region, {})[own] = more
        for region, own_labels in by_region.items():
            self._machines.label(region, own_labels)

    def at_poweroff(self, cluster: ClusterIdentity, machines: Sequence[Machine], *, delete: bool) -> None:
        """Tell AWS of the machines of which it was told otherwise, or of which that is not known."""
        wanted = "delete" if delete else "stay"
        wrong = [
            machine
            for machine in _alive(machines)
            if machine.labels.get(tags.POWEROFF) != wanted and machine.labels.get("market") != "spot"
        ]
        self._machines.at_poweroff(_ids(wrong), tags.SHUTDOWN[wanted])
        self.label(cluster, {machine.provider_id: {tags.POWEROFF: wanted} for machine in wrong})

    def stays_at_poweroff(self, machines: Sequence[Machine]) -> base.Texts:
        """Ask AWS itself; labels may be wrong."""
        found = self._machines.shutdown_behavior(_ids(_alive(machines)))
        return [m.name for m in machines if found.get(m.provider_id, "terminate") != "terminate"]

    def image_maker(self) -> Ec2Images:
        """See `own_images`."""
        return Ec2Images(self.spec, self._clients, self._kinds, self._ledger, self._region)

    def everything(self) -> base.Machines:
        """Return the machines of all clusters in the regions of this config."""
        return [machine for region in self._regions() for machine in self._machines.of_anybody(region)]

    def price(self, group: NodeGroup) -> Price | None:
        """Return what a machine costs, by spot market, list or table, with its disks and address."""
        machine, disks = self._market.price(self._region(group), group), self.price_stopped(group)
        if machine is None or disks is None:
            return None
        source = f"{machine.source}, with {self._disks_gb(group)} GB of disk"
        if Ec2Settings.of(group).ssh_address == "private":
            return Price(machine.hourly + disks.hourly, source)
        return Price(machine.hourly + disks.hourly + PUBLIC_ADDRESS, f"{source} and a public address")

    def price_stopped(self, group: NodeGroup) -> Price | None:
        """Return what a stopped machine still costs: its disks; its public address is given back."""
        disk = self._market.disk(self._region(group))
        return Price(disk.hourly * self._disks_gb(group), disk.source) if disk else None

    def allow(
        self,
        cluster: ClusterIdentity,
        networks: Sequence[str],
        *,
        only: bool = False,
        keep: Sequence[str] = (),
    ) -> tuple[base.Texts, base.Texts]:
        """Let networks log in, in all regions; see `Provider.allow`."""
        changes = [
            self._networks.allow(region, cluster, networks, only=only, keep=keep)
            for region in self._regions()
        ]
        added, withdrawn = zip(*changes, strict=True)
        return list(chain(*added)), list(chain(*withdrawn))

    def admit_master(
        self,
        cluster: ClusterIdentity,
        groups: Sequence[NodeGroup],
        networks: Sequence[str],
        gone: Sequence[str],
    ) -> None:
        """In the regions of these groups alone; see `Provider.admit_master`."""
        for region in sorted({self._region(group) for group in groups}):
            self._networks.admit_master(region, cluster, networks, gone)

    def _disks_gb(self, group: NodeGroup) -> int:
        """Return GB of a machine's disks as they are ordered: some images need a larger system disk."""
        root_gb = Ec2Settings.of(group).root_disk_gb
        with suppress(NotReady, ProviderError):  # whoever orders is told; accounts are kept all the same
            kinds = self._kinds.require(self._region(group), group)
            images = [self._images.choose(self._region(group), group, kind, "") for kind in kinds]
            root_gb = max([root_gb, *(image.root_gb for image in images)])
        return root_gb + group.data_disk_gb

    def _new_order(self, request: CreateRequest) -> Order:
        group, region = request.group, self._region(request.group)
        vpc = self._networks.place(region, group).vpc
        self._ledger.remember(region)
        key_name, security_group = self._networks.ensure(
            region, request.cluster, vpc, self._ledger.public_key(), request.ssh_from
        )
        ends = self.spec.ends_by_itself or DEADLINE_LABEL in request.labels or group.name == EXPERIMENT
        return Order(
            region=region,
            count=len(request.names),
            common=requests.common(request, key_name=key_name, security_group=security_group, lives=not ends),
            alternatives=self._alternatives(group, recipe=request.image),
        )

    def _alternatives(self, group: NodeGroup, *, recipe: str) -> tuple[Alternative, ...]:
        """Return what to try for a group. Raises NotReady when the config asks for what there is not."""
        region = self._region(group)
        kinds = self._kinds.require(region, group)
        images = {kind.name: self._images.choose(region, group, kind, recipe) for kind in kinds}
        return requests.alternatives(group, kinds, self._networks.place(region, group), images)

    def _made(self, token: str, order: Order, where: str, *, deadline_s: float) -> base.Machines:
        """See `_of_order`; a list that fails proves nothing, and the order must be repeated."""
        with self._unfinished(where, "these machines were ordered and AWS does not tell whether they exist"):
            return self._of_order(token, order, deadline_s=deadline_s)

    def _named(self, made: base.Machines, where: str) -> base.Machines:
        """Write the names on machines that were made, return them; else the order must be repeated."""
        with self._unfinished(where, "these machines are made, and their names could not be written on them"):
            self._machines.name(made)
        return made

    @contextmanager
    def _unfinished(self, where: str, what: str) -> Iterator[None]:
        """Let what fails leave the order open. Raises OutcomeUnknown: it must be repeated."""
        try:
            yield
        except (NotReady, ProviderError) as error:
            raise OutcomeUnknown(
                provider=self.name,
                where=where,
                what=f"{what} ({error.what})",
                remedy=error.remedy or "Run the same command again",
            ) from error

    def _of_order(self, token: str, order: Order, *, deadline_s: float) -> base.Machines:
        """Return the machines of a create call once all are listed; [] when they are not in time."""

        def listed() -> base.Machines:
            found = self._machines.of(order.region, {tags.TOKEN: token})
            return found if len(found) >= order.count else []

        found = until(listed, deadline_s=deadline_s, interval_s=0.3, growth=1.5, longest_s=5) or []
        return _alive(found)

    def _await_latecomers(self, region: str) -> bool:
        """Wait until machines of unanswered create calls are listed, or must be; False: no call is open."""
        unsettled = {token: one for token, one in self._ledger.unsettled().items() if one.region == region}
        for token, order in unsettled.items():
            self._of_order(token, order, deadline_s=settling(order.begun))
        return bool(unsettled)

    def _region(self, group: NodeGroup) -> str:
        return Ec2Settings.of(group).region or self._home_region()

    def _regions(self) -> Iterable[str]:
        """Return the regions of this config's groups, and those in which the cluster has ordered before."""
        own = {self._region(group) for group in self.spec.groups if group.provider == self.name}
        return sorted((own or {self._home_region()}) | self._ledger.regions())

    def _home_region(self) -> str:
        self._home = self._home or self._clients.region()
        return self._home

    @property
    def _gone_s(self) -> float:
        return deadlines(self.spec, self.name).gone


def _alive(machines: Iterable[Machine]) -> base.Machines:
    return [machine for machine in machines if machine.state is not NodeState.GONE]


def _ids(machines: Iterable[Machine]) -> base.Texts:
    return [machine.provider_id for machine in machines]
