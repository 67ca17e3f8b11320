"""Machines as AWS describes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from provision.core.errors import ProviderError
from provision.core.model import Machine, NodeState
from provision.core.wait import until
from provision.providers.ec2 import requests, tags
from provision.providers.ec2.client import NAME, Clients, code_of, message_of, once_visible, translate_errors
from provision.providers.ec2.kinds import Kind, Kinds

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

T = TypeVar("T")

STATES = {
    "pending": NodeState.PENDING,
    "running": NodeState.RUNNING,
    "stopping": NodeState.STOPPED,
    "stopped": NodeState.STOPPED,
    "shutting-down": NodeState.DELETING,
    "terminated": NodeState.GONE,
}
_ENDED = (NodeState.DELETING, NodeState.GONE)
_BATCH = 200
"""Machines per call of those that take a list."""
_CALLS = 8
"""Calls under way at once, of those that take one machine: a client holds 10 connections."""


@dataclass
class Machines:
    """Reads and changes machines. `ssh_address`: auto, public or private; `jump_host`: to reach them by."""

    clients: Clients
    kinds: Kinds
    ssh_address: str = "auto"
    jump_host: str = ""

    def of(self, region: str, wanted: Mapping[str, str]) -> list[Machine]:
        """Return the machines of a region that have these tags."""
        with translate_errors():
            return self._machines(region, _described(self.clients.ec2(region), tags.tagged(wanted)))

    def of_anybody(self, region: str) -> list[Machine]:
        """Return the machines of a region that any cluster has, with its name and id as labels."""
        with translate_errors():
            filters = [
                *tags.where(tag_key=tags.CLUSTER_ID),
                *tags.where(instance_state_name=[name for name in STATES if name != "terminated"]),
            ]
            return self._machines(region, _described(self.clients.ec2(region), filters), owner=True)

    def terminate(self, ids: Iterable[str], within: Mapping[str, str], deadline_s: float) -> None:
        """Delete machines and return when they are gone.

        Args:
            ids: of the machines.
            within: tags that all of them have.
            deadline_s: seconds to wait.

        Raises:
            ProviderError: they are not gone.
        """
        for region, own in _by_region(ids).items():
            client = self.clients.ec2(region)
            with translate_errors(", ".join(own)):
                for batch in _batches(own):
                    once_visible(partial(client.terminate_instances, InstanceIds=batch))
                self._await(client, own, within, {"terminated"}, deadline_s, "not all are deleted")

    def start(self, ids: Iterable[str], within: Mapping[str, str], deadline_s: float) -> None:
        """Boot stopped machines; see `terminate`."""
        for region, own in _by_region(ids).items():
            client = self.clients.ec2(region)
            with translate_errors(", ".join(own)):
                ready = {"stopped", "running", "pending"}
                self._await(
                    client, own, within, ready, deadline_s, "not all have stopped, so that they may start"
                )
                self._start(region, own)

    def _start(self, region: str, own: Sequence[str]) -> None:
        begin = self.clients.ec2(region, repeats=False).start_instances
        try:
            for batch in _batches(own):
                requests.repeat(partial(begin, InstanceIds=batch), self.clients.attempts)
        except ClientError as error:
            if code_of(error) not in requests.CAPACITY:
                raise
            raise ProviderError(
                provider=NAME,
                where=", ".join(own),
                what=f"AWS has no room to start them again ({message_of(error)})",
                remedy="Run the same command again later: their disks stay, in their zone",
            ) from error

    def stop(self, ids: Iterable[str], within: Mapping[str, str], deadline_s: float) -> None:
        """Power machines off and return when they are; see `terminate`."""
        for region, own in _by_region(ids).items():
            client = self.clients.ec2(region)
            with translate_errors(", ".join(own)):
                try:
                    for batch in _batches(own):
                        client.stop_instances(InstanceIds=batch)
                except ClientError as error:
                    if code_of(error) != "UnsupportedOperation":
                        raise
                    raise ProviderError(
                        provider=NAME,
                        where=", ".join(own),
                        what=f"these machines cannot be stopped, only deleted ({message_of(error)})",
                        remedy="Spot machines never can; destroy the cluster instead",
                    ) from error
                self._await(client, own, within, {"stopped"}, deadline_s, "not all have stopped")

    def at_poweroff(self, ids: Iterable[str], behavior: Any) -> None:  # noqa: ANN401  (AWS's own words)
        """Say what becomes of machines that power themselves off: `terminate` or `stop`."""
        for region, own in _by_region(ids).items():
            client = self.clients.ec2(region)
            with translate_errors(", ".join(own)):
                tell = partial(
                    client.modify_instance_attribute, InstanceInitiatedShutdownBehavior={"Value": behavior}
                )
                _at_once([partial(tell, InstanceId=one) for one in own])

    def shutdown_behavior(self, ids: Iterable[str]) -> dict[str, str]:
        """Return what becomes of machines that power themselves off, by our id."""
        found: dict[str, str] = {}
        for region, own in _by_region(ids).items():
            ask = partial(
                self.clients.ec2(region).describe_instance_attribute,
                Attribute="instanceInitiatedShutdownBehavior",
            )
            with translate_errors(", ".join(own)):
                answers = _at_once([partial(ask, InstanceId=one) for one in own])
            for one, answer in zip(own, answers, strict=True):
                found[f"{region}/{one}"] = str(answer["InstanceInitiatedShutdownBehavior"]["Value"])
        return found

    def label(self, region: str, labels: Mapping[str, Mapping[str, str]]) -> None:
        """Write labels; what is new to several machines alike is one call."""
        client = self.clients.ec2(region)
        new: dict[frozenset[tuple[str, str]], list[str]] = {}
        with translate_errors():
            filters = [tags.where(instance_id=batch) for batch in _batches(list(labels))]
            for raw in [raw for one in filters for raw in _described(client, one)]:
                found, own = tags.from_aws(raw.get("Tags", [])), labels[raw["InstanceId"]]
                wanted = {f"{tags.LABEL}{key}": value for key, value in own.items()}
                missing = frozenset(wanted.items() - found.items())
                new.setdefault(missing, []).append(raw["InstanceId"])
            calls = [
                partial(client.create_tags, Resources=ids, Tags=tags.to_aws(dict(missing)))
                for missing, alike in new.items()
                for ids in (_batches(alike) if missing else [])
            ]
            _at_once(calls)

    def name(self, machines: Iterable[Machine]) -> None:
        """Write the names on machines, with all of whose orders they were listed; again is harmless."""
        names = {machine.provider_id: machine.name for machine in machines if machine.state not in _ENDED}
        for region, ids in _by_region(names).items():
            write = self.clients.ec2(region).create_tags
            with translate_errors():
                _at_once(
                    [
                        partial(
                            write, Resources=[own], Tags=tags.to_aws(tags.as_named(names[f"{region}/{own}"]))
                        )
                        for own in ids
                    ]
                )

    def _machines(self, region: str, found: Sequence[Any], *, owner: bool = False) -> list[Machine]:
        known = self.kinds.get(region, {raw["InstanceType"] for raw in found}) if found else {}
        names = tags.names_of({raw["InstanceId"]: tags.from_aws(raw.get("Tags", [])) for raw in found})
        return [
            self._machine(region, raw, known[raw["InstanceType"]], name=name, owner=owner)
            for raw in found
            if (name := names[raw["InstanceId"]])
        ]

    def _machine(self, region: str, raw: Any, kind: Kind, *, name: str, owner: bool) -> Machine:  # noqa: ANN401
        found = tags.from_aws(raw.get("Tags", []))
        labels = {**tags.labels_of(found), "cores": str(kind.cores), "memory_gb": f"{kind.memory_gb:g}"}
        labels["instance_type"] = kind.name
        if kind.gpus:
            labels["gpus"] = str(kind.gpus)
        if raw.get("InstanceLifecycle"):
            labels["market"] = raw["InstanceLifecycle"]
        if self.jump_host:
            labels["jump_host"] = self.jump_host
        if owner:
            labels |= {"cluster": found[tags.CLUSTER], "cluster_id": found[tags.CLUSTER_ID]}
        state, device = STATES[raw["State"]["Name"]], _data_device(raw, kind)
        complete = state is NodeState.RUNNING and (bool(device) or labels.get("data_disk_gb", "0") == "0")
        return Machine(
            provider_id=f"{region}/{raw['InstanceId']}",
            name=name,
            group=found.get(tags.GROUP, ""),
            state=state,
            address=raw.get("PrivateIpAddress", ""),
            ssh_address=self._ssh_address(raw)
            if complete
            else "",  # before that its disk's name is not known
            created=raw["LaunchTime"].timestamp(),
            token=found.get(tags.TOKEN, ""),
            image=found.get(tags.RECIPE, ""),
            data_device=device,
            labels=labels,
            public=raw.get("PublicIpAddress", ""),
        )

    def _ssh_address(self, raw: Mapping[str, Any]) -> str:
        public, private = str(raw.get("PublicIpAddress", "")), str(raw.get("PrivateIpAddress", ""))
        return {"public": public, "private": private}.get(self.ssh_address, public or private)

    @staticmethod
    def _await(
        client: EC2Client,
        ids: Sequence[str],
        within: Mapping[str, str],
        states: set[str],
        deadline_s: float,
        what: str,
    ) -> None:
        """Wait until all machines are listed in one of the states: one that is not listed may be so later."""

        def there() -> bool:
            found = {raw["InstanceId"]: raw for raw in _described(client, tags.tagged(within))}
            return all(own in found and found[own]["State"]["Name"] in states for own in ids)

        if not until(there, deadline_s=deadline_s, interval_s=0.5, growth=1.3, longest_s=10):
            raise ProviderError(
                provider=NAME,
                where=", ".join(ids),
                what=f"{what} after {deadline_s:g} s",
                remedy="Run the same command again",
            )


def _described(client: EC2Client, filters: Sequence[Any]) -> list[Any]:
    pages = client.get_paginator("describe_instances").paginate(
        Filters=list(filters), PaginationConfig={"PageSize": 1000}
    )
    return [raw for page in pages for reservation in page["Reservations"] for raw in reservation["Instances"]]


def _by_region(ids: Iterable[str]) -> dict[str, list[str]]:
    """Return AWS's own ids, which stand behind the region in ours."""
    found: dict[str, list[str]] = {}
    for provider_id in ids:
        region, _, own = provider_id.partition("/")
        found.setdefault(region, []).append(own)
    return found


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]


def _at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make calls, some at the same time; return the answers. After one that fails no more are begun."""
    with ThreadPoolExecutor(max_workers=_CALLS) as pool:
        return list(pool.map(lambda call: call(), calls))


def _data_device(raw: Mapping[str, Any], kind: Kind) -> str:
    """Return the path under which the machine always finds its data disk; '' when AWS names none (yet)."""
    for disk in raw.get("BlockDeviceMappings", []):
        if disk["DeviceName"] == requests.DATA_DISK:
            serial = disk["Ebs"]["VolumeId"].replace("-", "")
            by_id = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}"
            return by_id if kind.nvme else "/dev/xvdf"
    return ""
