"""Disks that moto tells of or takes otherwise than AWS: those of images, and those that no type here has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.models.amis import Ami
from moto.ec2.responses.instances import InstanceResponse

from tests.emulators.ec2.imaging import as_method

Disks = list[dict[str, Any]]


def install() -> None:
    """Wrap moto's classes, once per process."""
    of_image: Callable[[Any], Disks] = vars(Ami)["block_device_mappings"].fget
    of_call: Callable[[Any], Disks] = vars(InstanceResponse)["_parse_block_device_mapping"]
    check: Callable[[Any], None] = vars(InstanceResponse)["_validate_block_device_mapping"].__func__

    def told(image: Any) -> Disks:
        """Not encrypted, and gone with their machine."""
        more = {"Encrypted": False, "DeleteOnTermination": True}
        return [one | {"Ebs": {**one["Ebs"], **more}} for one in of_image(image)]

    def taken(response: Any) -> Disks:
        """Without those of the host (`ephemeral0`): AWS passes over them where a type has none."""
        return [one for one in of_call(response) if not one["VirtualName"]]

    def valid(mapping: Any) -> None:
        if "VirtualName" not in mapping:
            check(mapping)

    wrapped: dict[tuple[type, str], Any] = {
        (Ami, "block_device_mappings"): property(told),
        (InstanceResponse, "_parse_block_device_mapping"): as_method(taken),
        (InstanceResponse, "_validate_block_device_mapping"): staticmethod(valid),
    }
    for (owner, name), function in wrapped.items():
        setattr(owner, name, function)
