"""RunInstances: one call per group, and what to try next when there is no room."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from provision.core.errors import MusterError, OutcomeUnknown
from provision.core.model import CreateRequest
from provision.core.spec import NodeGroup
from provision.providers.ec2 import tags
from provision.providers.ec2.client import (
    NAME,
    code_of,
    message_of,
    once_visible,
    translate,
    unanswered,
)
from provision.providers.ec2.config import Ec2Settings
from provision.providers.ec2.images import Image
from provision.providers.ec2.kinds import Kind
from provision.providers.ec2.ledger import Alternative, Order
from provision.providers.ec2.network import Place
from provision.providers.ec2.placing import QUOTA, Refused

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

DATA_DISK = "/dev/sdf"
"""How the data disk is called in the order; the machine sees it under another name."""

CAPACITY = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "SpotMaxPriceTooLow",
        "Unsupported",
        "UnfulfillableCapacity",
    }
)
"""Refusals of one type in one zone, spot or not; another may be had, and this one later."""


def alternatives(
    group: NodeGroup, kinds: list[Kind], place: Place, images: Mapping[str, Image]
) -> tuple[Alternative, ...]:
    """Return what to try, in order: every type in every subnet; on-demand after spot, where that is allowed.

    Args:
        group: whose machines.
        kinds: instance types.
        place: subnets.
        images: image by instance type.
    """
    settings = Ec2Settings.of(group)
    markets = [True, False] if settings.spot and settings.on_demand else [settings.spot]
    return tuple(
        Alternative(
            instance_type=kind.name,
            subnet=subnet,
            zone=zone,
            spot=market,
            image=images[kind.name].id,
            root=images[kind.name].root,
            root_gb=max(settings.root_disk_gb, images[kind.name].root_gb),
            recipe=images[kind.name].recipe,
        )
        for market, kind, (subnet, zone) in product(markets, kinds, place.subnets)
    )


def common(request: CreateRequest, *, key_name: str, security_group: str, lives: bool) -> dict[str, Any]:
    """Return what RunInstances is given in every alternative, the user-data excepted.

    Args:
        request: the order.
        key_name: of the key pair.
        security_group: its id.
        lives: False when a machine that powers itself off is to be deleted (it has a time to live).
    """
    settings = Ec2Settings.of(request.group)
    wanted: dict[str, Any] = {
        "KeyName": key_name,
        "SecurityGroups": [security_group],
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "HttpEndpoint": "enabled",
        },
        "InstanceInitiatedShutdownBehavior": "stop" if lives else "terminate",
        "DataDiskGb": request.group.data_disk_gb,
        "SshAddress": settings.ssh_address,
        "MaxPrice": settings.max_price,
        "Tags": tags.of_request(request, recipe="", own=settings.tags),
    }
    if profile := settings.instance_profile:
        wanted["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
    return wanted


def parameters(order: Order, token: str) -> dict[str, Any]:
    """Return the parameters of RunInstances for the alternative begun; always the same for the same."""
    wanted, chosen = dict(order.common), order.alternatives[order.index]
    data_gb, ssh_address, max_price = (wanted.pop(key) for key in ("DataDiskGb", "SshAddress", "MaxPrice"))
    groups, named = wanted.pop("SecurityGroups"), {**wanted.pop("Tags"), tags.RECIPE: chosen.recipe}
    disks = [_disk(chosen.root, chosen.root_gb)] + ([_disk(DATA_DISK, data_gb)] if data_gb else [])
    wanted |= {
        "ClientToken": f"{token}-{order.index}",
        "MinCount": order.count,
        "MaxCount": order.count,
        "ImageId": chosen.image,
        "InstanceType": chosen.instance_type,
        "BlockDeviceMappings": disks,
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags.to_aws(named)} for kind in ("instance", "volume")
        ],
    }
    if ssh_address == "auto":  # as the subnet has it
        wanted |= {"SubnetId": chosen.subnet, "SecurityGroupIds": groups}
    else:
        wanted["NetworkInterfaces"] = [
            {
                "DeviceIndex": 0,
                "SubnetId": chosen.subnet,
                "Groups": groups,
                "AssociatePublicIpAddress": ssh_address == "public",
                "DeleteOnTermination": True,
            }
        ]
    if chosen.spot:
        market = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        wanted["InstanceInitiatedShutdownBehavior"] = "terminate"  # it could not be started again
        wanted["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": market | ({"MaxPrice": f"{max_price:.6g}"} if max_price else {}),
        }
    return wanted


def run(client: EC2Client, order: Order, token: str, user_data: str, where: str) -> int:
    """Ask for the alternative that was begun; return how many machines there are now.

    Raises:
        Refused: it cannot be had; nothing was made.
        OutcomeUnknown: AWS may have made the machines.
        MusterError: nothing was made, and the next alternative would fare no better.
    """
    try:
        wanted = parameters(order, token)
        answer = once_visible(lambda: client.run_instances(**wanted, UserData=user_data))
    except ClientError as error:
        code = code_of(error)
        if code in CAPACITY | QUOTA:
            raise Refused(code, message_of(error)) from error
        if code == "IdempotentInstanceTerminated":
            return 0
        raise _unclear(error, where) from error
    except BotoCoreError as error:
        raise _unclear(error, where) from error
    return len(answer["Instances"])


def _unclear(error: BotoCoreError | ClientError, where: str) -> MusterError:
    if isinstance(error, ClientError) and code_of(error) == "IdempotentParameterMismatch":
        return OutcomeUnknown(
            provider=NAME,
            where=where,
            what="AWS has carried out this order before, with other content",
            remedy="Run destroy_cluster.yml, which finds those machines, then start_cluster.yml",
        )
    if unanswered(error):
        return OutcomeUnknown(
            provider=NAME,
            where=where,
            what=f"AWS did not say whether it made these machines ({_words(error)})",
            remedy="Run the same command again: it repeats this order and makes no second one",
        )
    return translate(error, where)


def _words(error: BotoCoreError | ClientError) -> str:
    return f"{code_of(error)}: {message_of(error)}" if isinstance(error, ClientError) else str(error)


def _disk(name: str, size_gb: int) -> dict[str, Any]:
    disk = {"VolumeType": "gp3", "VolumeSize": size_gb, "Encrypted": True, "DeleteOnTermination": True}
    return {"DeviceName": name, "Ebs": disk}
