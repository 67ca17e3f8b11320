"""What moto's EC2 lacks: machines behind the instances, states that take time, late visibility."""

from __future__ import annotations

import base64
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError
from moto.ec2.models import instances, subnets
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceBackend

from provision.core.errors import ProviderError
from provision.providers.ec2 import tags
from tests.emulators import hardware
from tests.emulators.ec2 import disks, groups
from tests.emulators.ec2.books import Books
from tests.emulators.ec2.imaging import Imaging, as_method
from tests.emulators.ec2.nodes import Nodes, Wish

Backend = Any
DATA_DISK = "/dev/sdf"
STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


class Patches:
    """Installed once per process; `install` wraps moto's classes."""

    def __init__(self, books: Books, nodes: Nodes) -> None:
        self.books = books
        self.nodes = nodes
        self.imaging = Imaging(books, nodes)
        self.ids: deque[str] = deque()
        self.volume_ids: deque[str] = deque()
        self.addresses: dict[str, str] = {}
        self.backends: list[Backend] = []
        self.unlinked: set[str] = set()
        self._looked = 0.0

    def install(self) -> None:
        from moto.ec2.models import elastic_block_store, elastic_network_interfaces

        self._run, self._reservations = InstanceBackend.run_instances, InstanceBackend.all_reservations
        self._by_ids = InstanceBackend.get_reservations_by_instance_ids
        self._many, self._address = (
            InstanceBackend.get_multi_instances_by_id,
            subnets.Subnet.get_available_subnet_ip,
        )
        self._start, self._stop, self._terminate = Instance.start, Instance.stop, Instance.terminate
        new_instance: Callable[[], str] = vars(instances)["random_instance_id"]
        new_volume: Callable[[], str] = vars(elastic_block_store)["random_volume_id"]
        patched: dict[tuple[object, str], Callable[..., Any]] = {
            (instances, "random_instance_id"): lambda: self.ids.popleft() if self.ids else new_instance(),
            (elastic_block_store, "random_volume_id"): lambda: (
                self.volume_ids.popleft() if self.volume_ids else new_volume()
            ),
            (elastic_network_interfaces, "random_public_ip"): nobodys_address,
        }
        for (module, name), function in patched.items():
            setattr(module, name, function)
        bound: dict[tuple[type, str], Callable[..., Any]] = {
            (InstanceBackend, "run_instances"): self.run_instances,
            (InstanceBackend, "start_instances"): self.start_instances,
            (InstanceBackend, "stop_instances"): self.stop_instances,
            (InstanceBackend, "terminate_instances"): self.terminate_instances,
            (InstanceBackend, "describe_instances"): self.describe_instances,
            (InstanceBackend, "get_reservations_by_instance_ids"): self.by_ids,
            (subnets.Subnet, "get_available_subnet_ip"): self.subnet_address,
        }
        for (owner, name), function in bound.items():
            setattr(owner, name, as_method(function))
        self._disks: Callable[[Any], list[dict[str, Any]]] = vars(Instance)["block_device_mappings"].fget
        shown: dict[str, Callable[[Any], Any]] = {"block_device_mappings": self.shown_disks}
        shown |= dict.fromkeys(("public_ip", "public_ip_address"), self.public_address)
        for name, function in shown.items():
            setattr(Instance, name, property(function))
        groups.install(self.instances)
        disks.install()
        self.imaging.install()

    def run_instances(
        self, backend: Backend, image_id: str, count: int, user_data: Any, groups: list[str], **more: Any
    ) -> Any:
        if backend not in self.backends:
            self.backends.append(backend)
        kind, asked = INSTANCE_TYPES[more["instance_type"]], more.get("block_device_mappings") or []
        ids = [f"i-0{secrets.token_hex(8)}" for _ in range(count)]
        volumes = {(own, disk["DeviceName"]): f"vol-0{secrets.token_hex(8)}" for own in ids for disk in asked}
        if not more.get("subnet_id") and not more.get("nics"):  # moto would make a machine of EC2-Classic
            more["subnet_id"] = _default_subnet(backend, more.get("placement"))
        image = backend.describe_images(ami_ids=[image_id])[0]
        recipe = {tag["key"]: tag["value"] for tag in image.get_tags()}.get("muster:recipe", "")
        wish = Wish(
            ids=ids,
            cores=kind["VCpuInfo"]["DefaultVCpus"],
            memory_gb=kind["MemoryInfo"]["SizeInMiB"] / 1024,
            user_data=base64.b64decode(str(user_data)).decode() if user_data else "",
            recipe=self.imaging.layers.get(image_id, recipe),
            disk_gb=next(
                (int(disk["Ebs"]["VolumeSize"]) for disk in asked if disk["DeviceName"] == DATA_DISK), 0
            ),
            volumes={own: volume for (own, device), volume in volumes.items() if device == DATA_DISK},
        )
        try:
            self.addresses |= self.nodes.create(wish)
        except ProviderError as error:  # this computer's reason, told to the test
            raise EC2ClientError("InternalError", str(error)) from None
        self.ids.extend(ids)
        self.volume_ids.extend(volumes.values())
        try:
            reservation = self._run(backend, image_id, count, user_data, groups, **more)
        except BaseException:
            self.nodes.change("delete", ids)
            raise
        finally:
            self.ids.clear()
            self.volume_ids.clear()
        settings = self.books.settings
        for number, instance in enumerate(reservation.instances):
            if instance.lifecycle == "spot" and settings.spot_index_zero:
                instance.ami_launch_index = 0
            self.books.visible_from[instance.id] = time.monotonic() + settings.invisible_s
            self.books.looks[instance.id] = settings.unseen_looks and settings.unseen_looks + number
            self.books.disk_looks[instance.id] = settings.late_disks
            _enter(instance, "pending")
        self._find_doubles()
        self.books.after(self.books.settings.pending_s, lambda: self._running(reservation.instances))
        return reservation

    def start_instances(self, backend: Backend, ids: list[str]) -> Any:
        found = self._visible(backend, ids)
        for instance in found:
            if instance.state not in ("stopped", "running", "pending"):
                raise EC2ClientError(
                    "IncorrectInstanceState",
                    f"The instance '{instance.id}' is not in a state from which it can be started.",
                )
        asleep = [instance for instance in found if instance.state == "stopped"]
        if asleep:
            self.nodes.change("start", [instance.id for instance in asleep])
            self.addresses |= self.nodes.addresses()
            for instance in asleep:
                self._readdress(instance)
        before = [(instance, _enter(instance, "pending")) for instance in asleep]
        self.books.after(self.books.settings.pending_s, lambda: self._running(asleep))
        return before or [(instance, instance._state) for instance in found]

    def stop_instances(self, backend: Backend, ids: list[str]) -> Any:
        found = self._visible(backend, ids)
        for instance in found:
            if instance.lifecycle == "spot":
                raise EC2ClientError(
                    "UnsupportedOperation",
                    f"You can't stop the Spot Instance '{instance.id}' because it is associated with a one-time Spot Instance request.",
                )
        awake = [instance for instance in found if instance.state in ("running", "pending")]
        if awake:
            self.nodes.change("stop", [instance.id for instance in awake])
        before = [(instance, _enter(instance, "stopping")) for instance in awake]

        def stopped() -> None:
            for instance in awake:
                if instance.state == "stopping":
                    self._stop(instance)

        self.books.after(self.books.settings.stopping_s, stopped)
        return before or [(instance, instance._state) for instance in found]

    def terminate_instances(self, backend: Backend, ids: list[str]) -> Any:
        return self.end(self._visible(backend, ids))

    def end(self, found: list[Any], reason: str = "Client.UserInitiatedShutdown") -> Any:
        """Delete instances, whoever wants it."""
        alive = [instance for instance in found if instance.state not in ("shutting-down", "terminated")]
        if alive:
            self.nodes.change("delete", [instance.id for instance in alive])
        before = [(instance, _enter(instance, "shutting-down")) for instance in alive]

        def terminated() -> None:
            for instance in alive:
                for nic in instance.nics.values():
                    nic.delete_on_termination = True
                self._terminate(instance)
                instance.state_reason.code = reason

        self.books.after(self.books.settings.shutting_down_s, terminated)
        return before or [(instance, instance._state) for instance in found]

    def describe_instances(self, backend: Backend, filters: Any = None) -> Any:
        return self._only_visible(self._reservations(backend, filters))

    def by_ids(self, backend: Backend, ids: list[str], filters: Any = None) -> Any:
        for own in ids:
            if not self.books.visible(own):
                raise InvalidInstanceIdError(own)
        return self._by_ids(backend, ids, filters)

    def subnet_address(self, subnet: Any, instance: Any) -> str:
        """The node's own address, which is from a pool of this computer's and not from the subnet."""
        own = self.addresses.get(getattr(instance, "id", ""))
        if own is None:
            return self._address(subnet, instance)
        subnet._subnet_ips[own] = instance
        return own

    def public_address(self, instance: Any) -> str | None:
        nic = instance.nics[0] if instance.nics else None
        if nic and nic.public_ip and instance.id in self.addresses:
            return hardware.public(nic.private_ip_address)
        return nic.public_ip if nic else None

    def shown_disks(self, instance: Any) -> list[dict[str, Any]]:
        """The disks that a list shows by now: AWS links those that it makes with a machine a while later."""
        disks = self._disks(instance)
        return [one for one in disks if one["DeviceName"] != DATA_DISK or instance.id not in self.unlinked]

    def _readdress(self, instance: Any) -> None:
        """Note the address that a machine behind an instance has now."""
        nic, address = instance.nics[0], self.addresses.get(instance.id)
        if address and address != nic.private_ip_address:
            addresses = nic.subnet._subnet_ips
            addresses[address] = addresses.pop(nic.private_ip_address)
            nic.private_ip_address = address
            nic.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]

    def look(self) -> None:
        """Let EC2 notice, once a second, which machines have powered themselves off."""
        if time.monotonic() < self._looked + 1:
            return
        self._looked = time.monotonic()
        ended = self.nodes.ended()
        for instance in self.instances():
            if instance.id in ended and instance.state == "running":
                if instance.instance_initiated_shutdown_behavior == "terminate":
                    self.end([instance], "Client.InstanceInitiatedShutdown")
                else:
                    self._stop(instance)

    def instances(self) -> list[Any]:
        """Return all instances of all regions, the terminated ones too."""
        return [
            instance
            for backend in self.backends
            for reservation in self._reservations(backend)
            for instance in reservation.instances
        ]

    def _running(self, found: list[Any]) -> None:
        for instance in found:
            if instance.state == "pending":
                self._start(instance)

    def forget(self) -> None:
        """Let EC2 forget the machines that are gone, as it does after an hour."""
        for backend in self.backends:
            for key, reservation in list(backend.reservations.items()):
                reservation.instances = [one for one in reservation.instances if one.state != "terminated"]
                if not reservation.instances:
                    del backend.reservations[key]

    def _find_doubles(self) -> None:
        """Note which machine of a cluster there is more than once."""
        known = {one.id: tags.from_aws(_shown(one)) for one in self.instances()}
        names = tags.names_of(known)
        alive = [one for one in self.instances() if one.state not in ("shutting-down", "terminated")]
        found = Counter((known[one.id].get(tags.CLUSTER_ID), names[one.id]) for one in alive)
        self.books.violations += [
            f"{name} was ordered twice" for (_, name), count in found.items() if name and count > 1
        ]

    def _visible(self, backend: Backend, ids: list[str]) -> list[Any]:
        hidden = [own for own in ids if not self.books.visible(own)]
        if hidden:
            raise InvalidInstanceIdError(hidden)
        return list(self._many(backend, ids))

    def _only_visible(self, found: list[Any]) -> list[Any]:
        for reservation in found:
            there = reservation.instances
            reservation.instances = [own for own in there if self.books.visible(own.id)]
            for own in there:
                self.books.looks[own.id] = max(0, self.books.looks.get(own.id, 0) - 1)
                late = self.books.disk_looks.get(own.id, 0)
                self.books.disk_looks[own.id] = max(0, late - 1)
                (self.unlinked.add if late else self.unlinked.discard)(own.id)
        return [reservation for reservation in found if reservation.instances]


def _shown(instance: Any) -> list[dict[str, str]]:
    return [{"Key": tag["key"], "Value": tag["value"]} for tag in instance.get_tags()]


def _default_subnet(backend: Backend, zone: str | None) -> str:
    return str(backend.get_default_subnets()[zone or f"{backend.region_name}a"].id)


def nobodys_address() -> str:
    """Return a public address that leads to this computer: moto's own ones are somebody's."""
    return f"127.214.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}"


def _enter(instance: Any, name: str) -> Any:
    before = instances.InstanceState(instance._state.name, instance._state.code)
    instance._state.name, instance._state.code = name, STATES[name]
    return before
