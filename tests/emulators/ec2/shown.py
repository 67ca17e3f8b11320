"""The emulator's books as the tests read them: what really exists, what was ordered, what was called."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from moto.ec2.models import ec2_backends

from tests.emulators.ec2.books import Books
from tests.emulators.ec2.images import ACCOUNT
from tests.emulators.ec2.imaging import OwnAmi
from tests.emulators.ec2.patches import Patches


def everything(books: Books, patches: Patches) -> dict[str, Any]:
    """Return all regions' machines (the terminated ones too), volumes, security groups and key pairs."""
    backends = list(ec2_backends[ACCOUNT].values())
    return {
        "instances": [_instance(instance) for instance in patches.instances()],
        "volumes": [_volume(one) for backend in backends for one in backend.volumes.values()],
        "groups": [
            _group(group)
            for backend in backends
            for groups in backend.groups.values()
            for group in groups.values()
            if group.name != "default"
        ],
        "images": [
            _image(one) for backend in backends for one in backend.amis.values() if isinstance(one, OwnAmi)
        ],
        "snapshots": [
            {"id": one.id, "region": backend.region_name, "tags": _tags(one)}
            for backend in backends
            for one in backend.snapshots.values()
            if one.owner_id == ACCOUNT and _tags(one)
        ],
        "keys": [name for backend in backends for name in backend.key_pairs],
        "calls": dict(books.calls),
        "asked": sorted(books.asked),
        "orders": books.orders,
        "violations": books.violations,
        "room": books.room,
        "settings": asdict(books.settings),
    }


def _volume(volume: Any) -> dict[str, Any]:
    return {
        "id": volume.id,
        "type": volume.volume_type,
        "size": volume.size,
        "encrypted": bool(volume.encrypted),
        "tags": _tags(volume),
    }


def _group(group: Any) -> dict[str, Any]:
    inside = [rule.source_group["GroupId"] for rule in group.ingress_rules if rule.source_group]
    return {
        "id": group.id,
        "name": group.name,
        "ssh": sorted(rule.ip_range["CidrIp"] for rule in group.ingress_rules if rule.ip_range),
        "ports": sorted({str(rule.to_port) for rule in group.ingress_rules if rule.ip_range}),
        "among_themselves": inside == [group.id],
    }


def _image(image: OwnAmi) -> dict[str, Any]:
    return {
        "id": image.id,
        "name": image.name,
        "region": image.ec2_backend.region_name,
        "state": image.state,
        "disks": {name: one.volume.size for name, one in image.disks.items()},
        "tags": _tags(image),
    }


def _instance(instance: Any) -> dict[str, Any]:
    options = instance.metadata_options
    return {
        "id": instance.id,
        "state": instance.state,
        "type": instance.instance_type,
        "zone": instance.placement.zone,
        "market": instance.lifecycle or "on-demand",
        "image": instance.image_id,
        "key": instance.key_name,
        "tags": _tags(instance),
        "index": instance.ami_launch_index,
        "token": instance.client_token,
        "metadata": [options.http_tokens, options.http_put_response_hop_limit],
        "shutdown": instance.instance_initiated_shutdown_behavior,
        "profile": bool(instance.iam_instance_profile),
        "address": instance.private_ip,
        "reason": instance.state_reason.code,
    }


def _tags(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}
