"""Security groups: a machine's can be changed while it lives, and one that is in use cannot be deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.security_groups import SecurityGroupBackend


def install(instances: Callable[[], list[Any]]) -> None:
    """Wrap moto's classes, once per process. `instances`: all of them, the terminated ones too."""
    delete: Callable[..., None] = SecurityGroupBackend._delete_security_group
    change: Callable[..., Any] = InstanceBackend.modify_instance_security_groups

    def delete_unused(backend: Any, vpc_id: str | None, group_id: str) -> None:
        for instance in instances():
            groups = (group for nic in instance.nics.values() for group in nic.group_set)
            if instance.state != "terminated" and any(group.id == group_id for group in groups):
                raise EC2ClientError("DependencyViolation", f"resource {group_id} has a dependent object")
        delete(backend, vpc_id, group_id)

    def change_at_the_interface(backend: Any, instance_id: str, group_ids: list[str]) -> Any:
        instance = change(backend, instance_id, group_ids)
        instance.nics[0]._group_set = list(instance.security_groups)
        return instance

    wrapped: dict[tuple[type, str], Callable[..., Any]] = {
        (SecurityGroupBackend, "_delete_security_group"): delete_unused,
        (InstanceBackend, "modify_instance_security_groups"): change_at_the_interface,
    }
    for (owner, name), function in wrapped.items():
        setattr(owner, name, function)
