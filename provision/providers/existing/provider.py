"""The verbs of the provider `existing`. Each host keeps the record of what it is used for itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, ClassVar, TypeVar

import yaml

from muster_node.needed import NEEDED
from provision.core import files
from provision.core.errors import HostKeyMismatch, HostKeyUnknown, NotReady, ProviderError
from provision.core.model import ClusterIdentity, CreateRequest, Machine, NodeState, Plan, Price
from provision.core.networks import holds, public
from provision.core.spec import ClusterSpec, NodeGroup
from provision.providers.base import Machines, Provider, Texts
from provision.providers.existing.config import ExistingSettings
from provision.providers.existing.host import NAME, Host, NotAnswering, of_config, pinned

RELEASE = "debian 13"
PREPARE_S = 900
REMOVE_S = 120
USED = "hosts.json"
"""File in the cluster's state folder: the hosts that were ever ordered, so that none is forgotten."""

T = TypeVar("T")


class ExistingProvider(Provider):
    """Hosts of the user's."""

    name: ClassVar[str] = NAME

    def check_ready(self, spec: ClusterSpec, plan: Plan) -> Texts:  # noqa: ARG002
        """Look at the hosts that the plan may use: reachable, the right system, free, large enough."""
        for group, names in plan.create:
            if group.provider == self.name:
                self._check_group(group, len(names))
        return []

    def list(self, cluster: ClusterIdentity) -> Machines:
        """Ask all hosts of the config, and those that were ever used, at once."""
        used = self._used()
        found: Machines = []
        for host, record in self._records({**self._configured(), **used}, needed=set(used)):
            if record is None:
                if used[host.address]["record"]["cluster_id"] == cluster.id:
                    found.append(_machine(host, used[host.address]["record"], NodeState.STOPPED))
            elif record["cluster_id"] == cluster.id:
                found.append(_machine(host, record, NodeState.RUNNING))
        return found

    def create(self, request: CreateRequest) -> Machines:
        """Prepare as many free hosts of the group; the same token again finishes what was begun."""
        hosts = self._hosts(request.group)
        looks = _all(hosts, lambda host: host.ask("look"))
        begun = {
            look["record"]["name"]: host
            for host, look in zip(hosts, looks, strict=True)
            if look["record"] and look["record"]["token"] == request.token
        }
        free = [
            host
            for host, look in zip(hosts, looks, strict=True)
            if not look["record"] and not look["against"]
        ]
        missing = [name for name in request.names if name not in begun]
        if len(free) < len(missing):
            raise _too_few(request.group, len(free), len(missing))
        chosen = begun | dict(zip(missing, free, strict=False))
        orders = [(chosen[name], _record(request, name, chosen[name])) for name in request.names]
        self._remember(orders)
        document = yaml.safe_load(request.user_data)

        def prepare(order: tuple[Host, dict[str, Any]]) -> Machine:
            host, record = order
            more = {"record": record, "document": document, "needed": NEEDED}
            look = host.ask("prepare", more, timeout_s=PREPARE_S)
            return _machine(host, look["record"] | {"image": look["image"]}, NodeState.RUNNING)

        return _all(orders, prepare)

    def unlike(self, group: NodeGroup, machine: Machine) -> Texts:
        """Hosts are as their owner has them."""
        del group, machine
        return []

    def start(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        """Nobody but their owner switches hosts on."""
        del cluster
        raise ProviderError(
            provider=self.name,
            where=", ".join(f"{machine.name} ({machine.ssh_address})" for machine in machines),
            what="does not answer, and hosts of yours are never switched on from here",
            remedy="Switch it on and run the same command again",
        )

    def stop(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> None:
        """Stop the cluster's services; hosts of the user's are never powered off."""
        self._on(machines, "stop", {"cluster_id": cluster.id})

    def delete(self, cluster: ClusterIdentity, machines: Sequence[Machine]) -> Texts:
        """Take back what was put on the hosts, and forget them; they go on running."""
        self._on(machines, "remove", {"cluster_id": cluster.id}, timeout_s=REMOVE_S)
        left = self._used()
        for machine in machines:
            left.pop(machine.ssh_address, None)
        self._write_used(left)
        return []

    def label(self, cluster: ClusterIdentity, labels: Mapping[str, Mapping[str, str]]) -> None:
        """Write labels into the hosts' records."""
        for machine in self.list(cluster):
            if machine.provider_id in labels:
                more = {"cluster_id": cluster.id, "labels": dict(labels[machine.provider_id])}
                self._on([machine], "label", more)

    def everything(self) -> Machines:
        """Return what is on the hosts of this config, of whatever cluster."""
        found = []
        for host, record in self._records({**self._configured(), **self._used()}, needed=set()):
            if record:
                machine = _machine(host, record, NodeState.RUNNING)
                found.append(machine)
        return found

    def price(self, group: NodeGroup) -> Price | None:
        """Nobody is paid for hosts that are there already."""
        del group
        return None

    def _check_group(self, group: NodeGroup, wanted: int) -> None:
        hosts = self._hosts(group)
        reasons, free = [], 0
        for host, look in zip(hosts, _all(hosts, lambda host: host.ask("look")), strict=True):
            reason = _unfit(look, group) or _unreachable(look, self.spec.allow_from)
            if reason:
                reasons.append(f"{host.address}: {reason}")
            elif not look["record"]:
                free += 1
        if free < wanted:
            raise _too_few(group, free, wanted, "; ".join(reasons))

    def _hosts(self, group: NodeGroup) -> Sequence[Host]:
        """Return the hosts of a group. Raises HostKeyUnknown with all keys that are not known."""
        found, last = [], None
        keys: dict[str, str] = {}
        for entry in _entries(group):
            try:
                found.append(of_config(entry, self.notes))
            except HostKeyUnknown as error:
                keys |= error.keys
                last = error
        if last is not None:
            raise HostKeyUnknown(keys=keys, what=last.what, where=last.where, remedy=last.remedy)
        return found

    def _configured(self) -> dict[str, dict[str, Any]]:
        groups = [group for group in self.spec.groups if group.provider == self.name]
        return {entry["address"]: {"host": entry} for group in groups for entry in _entries(group)}

    def _records(
        self, entries: Mapping[str, Mapping[str, Any]], needed: set[str]
    ) -> Iterable[tuple[Host, dict[str, Any] | None]]:
        """Yield each host that has a record with it; hosts that are `needed` and do not answer, with None."""
        known = [entry["host"] for entry in entries.values() if pinned(entry["host"], self.notes)]
        hosts = [of_config(entry, self.notes) for entry in known]  # the others were never used

        def ask(host: Host) -> dict[str, Any] | None:
            passing = (NotAnswering,) if host.address in needed else (NotAnswering, NotReady, HostKeyMismatch)
            try:
                look = host.ask("look")
            except passing:
                return None
            return {**look["record"], "image": look["image"]} if look["record"] else {}

        for host, record in zip(hosts, _all(hosts, ask), strict=True):
            if record or (record is None and host.address in needed):
                yield host, record

    def _on(
        self, machines: Sequence[Machine], verb: str, request: Mapping[str, Any], *, timeout_s: float = 60
    ) -> None:
        entries = {**self._configured(), **self._used()}
        hosts = [of_config(entries[machine.ssh_address]["host"], self.notes) for machine in machines]
        _all(hosts, lambda host: host.ask(verb, request, timeout_s=timeout_s))

    def _used(self) -> dict[str, dict[str, Any]]:
        try:
            found: dict[str, dict[str, Any]] = json.loads((self.notes / USED).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def _remember(self, orders: Sequence[tuple[Host, Mapping[str, Any]]]) -> None:
        more = {host.address: {"host": asdict(host), "record": dict(record)} for host, record in orders}
        self._write_used(self._used() | more)

    def _write_used(self, used: Mapping[str, Any]) -> None:
        if self.notes.is_dir():
            files.write(self.notes / USED, json.dumps(used, indent=1, sort_keys=True) + "\n")


def _entries(group: NodeGroup) -> list[dict[str, str]]:
    """Return the hosts of a group as the file has them."""
    return [host.model_dump() for host in ExistingSettings.of(group).hosts]


def _all(items: Sequence[Any], work: Callable[[Any], T]) -> list[T]:
    """Do the same with all items at once; the first error is raised when all have ended."""
    with ThreadPoolExecutor(max_workers=max(1, min(64, len(items)))) as pool:
        return list(pool.map(work, items))


def _record(request: CreateRequest, name: str, host: Host) -> dict[str, Any]:
    """Return what a host notes of its use."""
    return {
        "cluster": request.cluster.name,
        "cluster_id": request.cluster.id,
        "name": name,
        "group": request.group.name,
        "token": request.token,
        "labels": dict(request.labels),
        "data_device": host.data_device,
        "created": 0.0,
    }


def _machine(host: Host, record: Mapping[str, Any], state: NodeState) -> Machine:
    return Machine(
        provider_id=f"{host.address}/{record['token'][:8]}",
        name=record["name"],
        group=record["group"],
        state=state,
        address=host.private_address,
        ssh_address=host.address,
        created=record["created"],
        token=record["token"],
        image=record.get("image", ""),
        data_device=record["data_device"],
        host_key=host.host_key,
        labels={**record["labels"], "cluster": record["cluster"], "cluster_id": record["cluster_id"]},
        public=public(host.address),
    )


def _unfit(look: Mapping[str, Any], group: NodeGroup) -> str:
    """Return why a host cannot become a machine of the group, '' when it can (or is one)."""
    if look["record"]:
        return f"belongs to the cluster {look['record']['cluster']}"
    if look["release"] != RELEASE:
        return f"runs {look['system'] or 'an unknown system'}, not Debian 13"
    if not look["systemd"]:
        return "does not run systemd"
    if look["cores"] < group.cores or look["memory_gb"] < group.memory_gb * 0.9:
        return f"has {look['cores']} cores and {look['memory_gb']} GiB, less than groups.{group.name} says"
    return str(look["against"])


def _unreachable(look: Mapping[str, Any], allow_from: Sequence[str]) -> str:
    """Return why this computer could not reach a host any more once it is the cluster's, '' when it could."""
    if not allow_from or look["record"] or any(holds(network, look["from"]) for network in allow_from):
        return ""
    return f"sees this computer as {look['from'] or 'nobody knows whom'}, which allow_from does not let in"


def _too_few(group: NodeGroup, free: int, wanted: int, reasons: str = "") -> NotReady:
    return NotReady(
        where=f"groups.{group.name}.hosts",
        what=f"{wanted} hosts are needed and {free} can be used" + (f" ({reasons})" if reasons else ""),
        remedy="Free a host or name another one",
    )
