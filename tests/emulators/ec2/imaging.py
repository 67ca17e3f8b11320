"""What moto's images lack: all disks of the instance, a state that takes time, names that are unique, tokens, layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.responses.amis import AmisResponse
from moto.ec2.utils import random_ami_id

from tests.emulators.ec2.books import Books
from tests.emulators.ec2.images import ACCOUNT
from tests.emulators.ec2.nodes import Nodes

Tagged = Mapping[str, Mapping[str, str]]


class OwnAmi(Ami):
    """An image of the account's own. `disks`: size in GB by device name, the system's first."""

    state_reason: dict[str, str] | None = None

    def __init__(self, backend: Any, name: str, disks: Mapping[str, int], told: Tagged, **more: Any) -> None:
        root, *others = disks
        before = sum(isinstance(one, OwnAmi) for one in backend.amis.values())
        created = utcnow() + timedelta(seconds=before)  # nobody makes two images in the second that is told
        super().__init__(
            backend, random_ami_id(), name=name, root_device_name=root, root_device_type="ebs", state="pending",
            creation_date=created, **more
        )  # fmt: skip
        self.ebs_snapshot.volume.size = disks[root]
        self.disks = {root: self.ebs_snapshot}
        for device in others:
            volume = backend.create_volume(size=disks[device], zone_name=f"{backend.region_name}a")
            made = backend.create_snapshot(volume.id, f"of {name}", self.owner_id, from_ami=self.id)
            backend.delete_volume(volume.id)
            self.disks[device] = made
        self.add_tags(dict(told.get("image", {})))
        for snapshot in self.disks.values():
            snapshot.add_tags(dict(told.get("snapshot", {})))

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        return [
            {
                "DeviceName": name,
                "Ebs": {"SnapshotId": one.id, "VolumeSize": one.volume.size, "Encrypted": True},
            }
            for name, one in self.disks.items()
        ]


class Imaging:
    """Installed once per process. `layers`: what the nodes start from, by image."""

    def __init__(self, books: Books, nodes: Nodes) -> None:
        self.books, self.nodes = books, nodes
        self.layers: dict[str, str] = {}
        self.copies: dict[str, OwnAmi] = {}

    def install(self) -> None:
        self._listed = AmiBackend.describe_images
        patched: dict[tuple[type, str], Callable[..., Any]] = {
            (AmisResponse, "create_image"): self._create,
            (AmisResponse, "copy_image"): self._copy,
            (AmiBackend, "describe_images"): self._describe,
        }
        for (owner, name), function in patched.items():
            setattr(owner, name, as_method(function))

    def reset(self) -> None:
        self.layers.clear()
        self.copies.clear()

    def _create(self, response: Any) -> Any:
        from moto.core.responses import ActionResult

        backend, name = response.ec2_backend, response._get_param("Name")
        instance = backend.get_instance(response._get_param("InstanceId"))
        if instance.state not in ("running", "stopped"):
            raise EC2ClientError(
                "IncorrectInstanceState", f"The instance '{instance.id}' is {instance.state}"
            )
        for ami in backend.amis.values():
            if ami.name == name and ami.owner_id == ACCOUNT:
                raise EC2ClientError(
                    "InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {ami.id}"
                )
        if instance.state == "running":
            self.books.violations.append(f"{name} was made of a machine that runs")
        without = {
            one["DeviceName"] for one in response._get_param("BlockDeviceMappings", []) if "NoDevice" in one
        }
        disks = {
            device: backend.get_volume(block.volume_id).size
            for device, block in instance.get_block_device_mapping
            if device not in without
        }
        layer = self.nodes.capture(instance.id)
        made = OwnAmi(backend, name, disks, _tags(response), instance=instance)
        backend.amis[made.id] = made
        self.layers |= {made.id: layer} if layer else {}
        self._begin(made, instance)
        return ActionResult({"ImageId": made.id})

    def _copy(self, response: Any) -> Any:
        from moto.core.responses import ActionResult

        token = response._get_param("ClientToken", "")
        if token and token in self.copies:
            return ActionResult({"ImageId": self.copies[token].id})
        backend, name = response.ec2_backend, response._get_param("Name")
        source_of = ec2_backends[ACCOUNT][response._get_param("SourceRegion")]
        source = source_of.describe_images(ami_ids=[response._get_param("SourceImageId")])[0]
        if source.state != "available":
            raise EC2ClientError("InvalidRequest", f"The source image {source.id} is {source.state}")
        if any(ami.name == name and ami.owner_id == ACCOUNT for ami in backend.amis.values()):
            self.books.violations.append(f"{name} was copied twice")
        disks = {one["DeviceName"]: one["Ebs"]["VolumeSize"] for one in source.block_device_mappings}
        made = OwnAmi(backend, name, disks, _tags(response), source_ami=source)
        backend.amis[made.id] = self.copies[token] = made
        if source.id in self.layers:
            self.layers[made.id] = self.layers[source.id]
        self._begin(made)
        return ActionResult({"ImageId": made.id})

    def _begin(self, made: OwnAmi, instance: Any = None) -> None:
        self.books.looks[made.id] = self.books.settings.unseen_looks

        def ready() -> None:
            made.state = "failed" if self.books.settings.image_fails else "available"
            if self.books.settings.image_fails:
                made.state_reason = {"Code": "x", "Message": self.books.settings.image_fails}
            if instance is not None and instance.state in ("shutting-down", "terminated"):
                made.state = "failed"
                self.books.violations.append(f"{made.name}: its machine was deleted while it was made")

        self.books.after(self.books.settings.image_s, ready)

    def _describe(self, backend: Any, ami_ids: Any = None, **more: Any) -> list[Ami]:
        found: Iterable[Ami] = self._listed(backend, ami_ids=ami_ids, **more)
        there = []
        for ami in found:
            left = self.books.looks.get(ami.id, 0)
            if ami_ids or not left:
                there.append(ami)
            else:
                self.books.looks[ami.id] = left - 1
        return there


def _tags(response: Any) -> Tagged:
    """Return the tags of a request by what they are for."""
    return {
        one["ResourceType"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]}
        for one in response._get_param("TagSpecifications", [])
    }


def as_method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function, which becomes a method of the class that it is put into."""

    def method(own: Any, *arguments: Any, **named: Any) -> Any:
        return function(own, *arguments, **named)

    return method
