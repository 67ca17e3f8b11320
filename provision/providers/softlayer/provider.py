"""The verbs of the provider `softlayer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from provision.core.errors import NoCapacity, NotReady, ProviderError
from provision.core.model import ClusterIdentity, CreateRequest, Machine, NodeState, Plan, Price
from provision.core.spec import ClusterSpec, NodeGroup
from provision.core.wait import until
from provision.providers import base
from provision.providers.base import Machines, Provider, Texts
from provision.providers.facts import deadlines
from provision.providers.softlayer import guests, identity, orders, security
from provision.providers.softlayer.catalogue import Catalogue
from provision.providers.softlayer.client import Api, Raw
from provision.providers.softlayer.config import SoftLayerBlock
from provision.providers.softlayer.failures import NAME, ApiError, Kind
from provision.providers.softlayer.templates import Wish, flavor_size, wish

POLL_S = 2.0
"""Seconds between two looks at guests that are being cancelled or switched off."""
SWITCH_S = 120.0
"""Seconds that a guest gets to power on or off."""
_LIST_WILL_TELL = frozenset({Kind.ALREADY, Kind.BUSY, Kind.MISSING, Kind.UNCLEAR})
"""Failures of a call on one guest after which the next look at the list tells what came of it."""

_NEVER_ASKED = (
    "softlayer: no call tells whether there is room, how many more public servers the account may have, or "
    "whether an image runs cloud-init"
)


class SoftLayerProvider(Provider):
    """Virtual guests of SoftLayer / IBM Cloud Classic."""

    name: ClassVar[str] = NAME

    def __init__(self, spec: ClusterSpec, notes: Path) -> None:
        super().__init__(spec, notes)
        self._api = Api()
        self._catalogue = Catalogue(self._api, spec.path.name)
        self._ssh_address = spec.block(SoftLayerBlock).ssh_address

    def check_ready(self, spec: ClusterSpec, plan: Plan) -> Texts:
        """Check credentials, other clusters' names, and that what is wished is offered and would be taken."""
        wished = [group for group, _ in plan.create if group.provider == self.name]
        if not wished:
            return []
        self._require_own_names(spec, plan)
        unasked: list[str] = []
        for group in wished:
            wanted = self._catalogue.settled(group)
            unasked += self._catalogue.require(group, wanted)
            orders.key_ids(self._api, wanted)
        if any(wish(group).filtered for group in wished):
            security.require_permission(self._api)
        return [*unasked, _NEVER_ASKED]

    def list(self, cluster: ClusterIdentity) -> Machines:
        """Return the cluster's guests, tagged or not, in one call per hundred."""
        return [self._machine(raw, cluster.name) for raw in self._guests(identity.query(cluster.id))]

    def create(self, request: CreateRequest) -> Machines:
        """Order what of the request was not ordered yet, as the names of the guests tell, in one call."""
        wanted = self._catalogue.settled(request.group)
        cluster = self._guests(identity.query(request.cluster.id))
        made = {
            str(raw["hostname"]): raw for raw in cluster if identity.nonce(raw["domain"])[1] == request.token
        }
        missing = [name for name in request.names if name not in made]
        if missing:
            try:
                placed = orders.place(
                    self._api,
                    request,
                    wanted,
                    missing,
                    datacenters=orders.where(wanted, cluster),
                    image_id=orders.image_id(self._api, wanted, request.image),
                    key_ids=orders.key_ids(self._api, wanted),
                    security_group=self._group(request, wanted),
                )
            except NoCapacity as error:
                if not made:
                    raise
                raise orders.partly(error, len(made), len(request.names)) from error
            made |= {str(raw["hostname"]): raw for raw in placed}
        self._mark(request, wanted, [raw for raw in made.values() if identity.TAG not in guests.tags(raw)])
        machines = [self._machine(raw, request.cluster.name) for raw in made.values()]
        return [
            replace(machine, group=request.group.name, labels={**request.labels, **machine.labels})
            for machine in machines
        ]

    def unlike(self, group: NodeGroup, machine: Machine) -> Texts:
        """Compare sizes in the API's terms; a flavor tells its own, one that was chosen may be larger."""
        if machine.state is NodeState.PENDING:  # its disks are not there yet
            return []
        wanted = wish(group)
        own = {"cores": float(wanted.cores), "memory_gb": wanted.memory_mb / 1024}
        if wanted.flavor:
            size = flavor_size(wanted.flavor)
            own = {key: size[key] for key in own if key in size}
        elif not wanted.literal:
            own = {key: max(least, float(machine.labels.get(key, least))) for key, least in own.items()}
        return base.sizes(machine, **own, data_disk_gb=wanted.data_disk_gb)

    def start(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        """Power guests on."""
        self._label_off(cluster, machines, "")
        self._switch(cluster, machines, ("powerOn", "powerOn"), leave=NodeState.STOPPED)

    def stop(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        """Let guests power off; cut the power of those that have not after two minutes.

        By the API, which ends most of their bill; powering off from inside does not.
        """
        ids = {machine.provider_id for machine in machines}
        try:
            self._switch(cluster, machines, ("powerOffSoft", "powerOff"), leave=NodeState.RUNNING)
        finally:  # one that stays on makes the others no dearer
            there = [machine for machine in self.list(cluster) if machine.provider_id in ids]
            off = [machine for machine in there if machine.state is NodeState.STOPPED]
            self._label_off(cluster, off, guests.OFF_BY_API)

    def delete(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> Texts:
        """Cancel guests, each as soon as it has no active transaction; see them go, and what they shared."""
        ids = {machine.provider_id for machine in machines}
        left: list[Raw] = []
        accepted: set[int] = set()

        def cancel(guest: int) -> None:
            if self._attempt("deleteObject", guest):
                accepted.add(guest)

        def gone() -> bool:
            nonlocal left
            left = [raw for raw in self._guests(identity.query(cluster.id)) if str(raw["id"]) in ids]
            due = [
                int(raw["id"])
                for raw in left
                if not guests.transaction(raw) and guests.state(raw) is not NodeState.DELETING
            ]
            self._api.each(cancel, set(due) - accepted)
            return not left

        limits = deadlines(self.spec, self.name)
        coming = any(machine.state is NodeState.PENDING for machine in machines)
        deadline_s = limits.gone + (limits.boot if coming else 0)  # it cannot be cancelled before it is made
        if not until(gone, deadline_s=deadline_s, interval_s=POLL_S):
            doing = ", ".join(f"{raw['hostname']} ({guests.transaction(raw) or 'idle'})" for raw in left)
            raise ProviderError(
                provider=self.name,
                where=doing,
                what=f"not gone {deadline_s:g} s after it was asked for, and bills until then",
                remedy="Run the same command again",
            )
        return self._unshare(cluster)

    def allow(
        self,
        cluster: ClusterIdentity,
        networks: Sequence[str],
        *,
        only: bool = False,
        keep: Sequence[str] = (),
    ) -> tuple[Texts, Texts]:
        """Let networks through the security group, where there is one; see `Provider.allow`."""
        return (
            security.allow(self._api, cluster, networks, only=only, keep=keep) if self._filters else ([], [])
        )

    def admit_master(
        self,
        cluster: ClusterIdentity,
        groups: Sequence[NodeGroup],
        networks: Sequence[str],
        gone: Sequence[str],
    ) -> None:
        """All its guests here have one security group; see `Provider.admit_master`."""
        if any(wish(group).filtered for group in groups):
            security.admit_master(self._api, cluster, networks, gone)

    def label(self, cluster: ClusterIdentity, labels: Mapping[str, Mapping[str, str]]) -> None:
        """Write labels into the guests' notes."""
        known = {str(raw["id"]): raw for raw in self._guests(identity.query(cluster.id))}
        self._api.each(
            lambda one: self._note(known[one], labels[one]), [one for one in labels if one in known]
        )

    def everything(self) -> Machines:
        """Return the guests of all clusters of the account."""
        return [self._machine(raw) for raw in self._guests(identity.query())]

    def price(self, group: NodeGroup) -> Price | None:
        """Return what the API asks for such a guest; there is no list, as prices differ by account."""
        found = self._catalogue.quote(self._catalogue.settled(group))
        return found.running if found else None

    def price_stopped(self, group: NodeGroup) -> Price | None:
        """Return what a guest costs that the API has powered off: its disks, where it can be suspended."""
        wanted = self._catalogue.settled(group)
        found = self._catalogue.quote(wanted)
        if found is None:
            return None
        return found.suspended if wanted.suspends else found.running

    @property
    def _filters(self) -> bool:
        """Whether any of the cluster's guests here have a security group."""
        return any(wish(group).filtered for group in self.spec.groups if group.provider == self.name)

    def _group(self, request: CreateRequest, wanted: Wish) -> int | None:
        return security.ensure(self._api, request.cluster, request.ssh_from) if wanted.filtered else None

    def _unshare(self, cluster: ClusterIdentity) -> Texts:
        """Delete what the cluster's guests shared, once none of them is left."""
        if self._guests(identity.query(cluster.id)):
            return []
        try:
            return security.remove(self._api, cluster)
        except ApiError as error:
            if self._filters or error.kind is not Kind.REFUSED:
                raise
            return []  # who needs no security groups may not be permitted to look for them

    def _guests(self, query: dict[str, Any]) -> Sequence[Raw]:
        found = self._api.pages("Account", "getVirtualGuests", mask=guests.MASK, query=query)
        return [raw for raw in found if any(identity.nonce(str(raw["domain"])))]

    def _machine(self, raw: Raw, cluster: str = "") -> Machine:
        groups = [group.name for group in self.spec.groups]
        return guests.machine(raw, ssh_address=self._ssh_address, cluster=cluster, groups=groups)

    def _guest(self, method: str, guest_id: str | int, *args: object) -> None:
        self._api.call("Virtual_Guest", method, *args, id=int(guest_id))

    def _attempt(self, method: str, guest: int) -> bool:
        """Make a call once; return False when it is not clear, or the next look at the list will tell."""
        try:
            self._api.call("Virtual_Guest", method, id=guest, repeatable=False)
        except ApiError as error:
            if error.kind not in _LIST_WILL_TELL:
                raise
            return False
        return True

    def _switch(
        self, cluster: ClusterIdentity, machines: Sequence[Machine], verbs: Sequence[str], *, leave: NodeState
    ) -> None:
        """Let guests leave a state by one verb after the other, each given two minutes."""
        ids = {machine.provider_id for machine in machines}

        def left() -> Machines:
            return [m for m in self.list(cluster) if m.provider_id in ids and m.state is leave]

        for verb in verbs:
            self._api.each(lambda machine: self._attempt(verb, int(machine.provider_id)), left())  # noqa: B023
            if until(lambda: not left(), deadline_s=SWITCH_S, interval_s=POLL_S):
                return
        raise ProviderError(
            provider=self.name,
            where=", ".join(machine.name for machine in left()),
            what=f"still {leave.value} after {', '.join(verbs)}",
            remedy="Run the same command again",
        )

    def _label_off(self, cluster: ClusterIdentity, machines: Sequence[Machine], how: str) -> None:
        """Let guests say by whom they were powered off, which decides what they cost."""
        self.label(cluster, {machine.provider_id: {guests.OFF: how} for machine in machines})

    def _mark(self, request: CreateRequest, wanted: Wish, raws: Sequence[Raw]) -> None:
        """Give new guests their tags, and those labels that the API does not tell anyway."""
        tags = identity.tags(request.cluster.name, request.group.name, wanted.tags)
        kept = {name: value for name, value in request.labels.items() if name not in guests.REPORTED}

        def mark(raw: Raw) -> None:
            if kept:
                self._note(raw, kept)
            self._guest("setTags", raw["id"], tags)

        self._api.each(mark, raws)

    def _note(self, raw: Raw, more: Mapping[str, str]) -> None:
        try:
            text = identity.notes(str(raw.get("notes") or ""), more)
        except ValueError as error:
            raise ProviderError(
                provider=self.name,
                where=str(raw["hostname"]),
                what=str(error),
                remedy="Shorten what was written there by hand",
            ) from error
        self._guest("editObject", raw["id"], {"notes": text})

    def _require_own_names(self, spec: ClusterSpec, plan: Plan) -> None:
        """Raise NotReady when another cluster of this account has machines of the names to be created."""
        own = {machine.provider_id for machine in (*plan.keep, *plan.start, *plan.delete)}
        names = {name for group, each in plan.create if group.provider == self.name for name in each}
        for raw in self._guests(identity.query(hostname=f"{spec.name}-")):
            taken = raw["hostname"] in names and guests.state(raw) is not NodeState.DELETING
            if taken and str(raw["id"]) not in own:
                cluster_id, _ = identity.nonce(str(raw["domain"]))
                raise NotReady(
                    where=f"SoftLayer: {raw['hostname']}",
                    what=f"another cluster {spec.name} (id {cluster_id}) has this machine on the account",
                    remedy="Choose another name under `cluster:`, or adopt that one",
                )
