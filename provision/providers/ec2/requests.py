"""RunInstances: one call per group, and what to try next when there is no room."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from provision.core.errors import OutcomeUnknown
from provision.core.model import CreateRequest
from provision.core.spec import NodeGroup
from provision.core.wait import until
from provision.providers.ec2 import tags
from provision.providers.ec2.client import (
    ERRORS,
    NAME,
    code_of,
    failed,
    message_of,
    once_visible,
    translate,
)
from provision.providers.ec2.config import Ec2Settings
from provision.providers.ec2.images import Image
from provision.providers.ec2.kinds import Kind
from provision.providers.ec2.ledger import Alternative, Order
from provision.providers.ec2.network import Place
from provision.providers.ec2.placing import NEVER, QUOTA, Refused

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

T = TypeVar("T")

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
        "UnfulfillableCapacity",
    }
)
"""Refusals of one type in one zone, spot or not; another may be had, or this one later. Some are HTTP 500."""
REFUSED = CAPACITY | QUOTA | NEVER
THROTTLED = frozenset(
    {"RequestLimitExceeded", "RequestThrottled", "Throttling", "ThrottlingException", "EC2ThrottledException"}
)
"""Refusals of a call that comes too soon after others; nothing was done."""


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
        lives: False when a machine that powers itself off is to be deleted (its time is over then).
    """
    settings = Ec2Settings.of(request.group)
    at_poweroff = "stay" if lives else "delete"
    wanted: dict[str, Any] = {
        "KeyName": key_name,
        "SecurityGroups": [security_group],
        "MetadataOptions": {
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "HttpEndpoint": "enabled",
        },
        "InstanceInitiatedShutdownBehavior": tags.SHUTDOWN[at_poweroff],
        "DataDiskGb": request.group.data_disk_gb,
        "SshAddress": settings.ssh_address,
        "MaxPrice": settings.max_price,
        "Tags": tags.of_request(request, recipe="", own=settings.tags)
        | {f"{tags.LABEL}{tags.POWEROFF}": at_poweroff},
    }
    if profile := settings.instance_profile:
        wanted["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
    return wanted


def parameters(order: Order, token: str) -> dict[str, Any]:
    """Return the parameters of RunInstances for the alternative begun; always the same for the same."""
    wanted, chosen = dict(order.common), order.alternatives[order.index]
    data_gb, ssh_address, max_price = (wanted.pop(key) for key in ("DataDiskGb", "SshAddress", "MaxPrice"))
    groups, named = wanted.pop("SecurityGroups"), {**wanted.pop("Tags"), tags.RECIPE: chosen.recipe}
    if chosen.spot:  # it could not be started again
        wanted["InstanceInitiatedShutdownBehavior"] = tags.SHUTDOWN["delete"]
        named[f"{tags.LABEL}{tags.POWEROFF}"] = "delete"
    disks = [_disk(chosen.root, chosen.root_gb)] + ([_disk(DATA_DISK, data_gb)] if data_gb else [])
    wanted |= {
        "ClientToken": f"{token}-{order.index}",
        "MinCount": order.count,
        "MaxCount": order.count,
        "ImageId": chosen.image,
        "InstanceType": chosen.instance_type,
        "BlockDeviceMappings": disks,
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags.to_aws(named)}
            for kind in ("instance", "volume", *(("spot-instances-request",) if chosen.spot else ()))
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
        wanted["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": market | ({"MaxPrice": f"{max_price:.6g}"} if max_price else {}),
        }
    return wanted


def run(
    client: EC2Client,
    order: Order,
    token: str,
    user_data: str,
    where: str,
    *,
    attempts: int,
    note: Callable[[], object],
) -> int:
    """Ask for the alternative that was begun; return how many machines there are now.

    See `repeat`; all attempts have the same bytes and token. `note` is called before each of them, which may
    be minutes after the first: so much later machines of it may turn up.

    Raises:
        Refused: it cannot be had; nothing was made.
        OutcomeUnknown: AWS may have made the machines.
        MusterError: nothing was made, and the next alternative would fare no better.
    """
    wanted, doubtful = parameters(order, token), False  # whether an attempt may have been carried out

    def ask() -> int:
        nonlocal doubtful
        note()
        try:
            return len(client.run_instances(**wanted, UserData=user_data)["Instances"])
        except ERRORS as error:
            doubtful = doubtful or unanswered(error)
            raise

    try:
        return repeat(lambda: once_visible(ask), attempts)
    except ERRORS as error:
        if _code(error) == "IdempotentInstanceTerminated":
            return 0
        raise _outcome(error, where, doubtful=doubtful) from error


def repeat(call: Callable[[], T], attempts: int) -> T:
    """Make a call, which the client must not repeat by itself, at most so often. Raises as boto3 does.

    It is made again when it got no answer or came too soon; "no room" is an answer.
    """
    left = attempts

    def attempt() -> tuple[T] | None:
        nonlocal left
        left -= 1
        try:
            return (call(),)
        except ERRORS as error:
            if left > 0 and (unanswered(error) or _code(error) in THROTTLED):
                return None
            raise

    # Pauses are random, so that many who were refused together do not come back together.
    pause_s = random.uniform(0.5, 1.5)  # noqa: S311
    made = until(attempt, deadline_s=math.inf, interval_s=pause_s, growth=2, longest_s=20)
    return made[0] if made else call()


def rehearse(client: EC2Client, order: Order, where: str) -> None:
    """Ask whether an order would be permitted and makes sense; nothing is made (DryRun).

    Key pair and security group, which are made with the first order, are left out. Raises NotReady,
    ProviderError.
    """
    wanted = parameters(order, "check")
    for part in (wanted, *wanted.get("NetworkInterfaces", ())):
        for key in ("ClientToken", "KeyName", "SecurityGroupIds", "Groups"):
            part.pop(key, None)
    try:
        client.run_instances(**wanted, DryRun=True)
    except ERRORS as error:
        if _code(error) not in {"DryRunOperation", *REFUSED}:
            raise translate(error, where) from error


def unanswered(error: Exception) -> bool:
    """Return True when AWS may have carried out the order all the same."""
    return failed(error) and _code(error) not in REFUSED | THROTTLED


def _outcome(error: Exception, where: str, *, doubtful: bool) -> Exception:
    """Return what an error says of the machines; `doubtful`: an attempt may have been carried out."""
    if _code(error) == "IdempotentParameterMismatch":
        return OutcomeUnknown(
            provider=NAME,
            where=where,
            what="AWS has carried out this order before, with other content",
            remedy="Run destroy_cluster.yml, which finds those machines, then start_cluster.yml",
        )
    if doubtful:  # also when the last attempt was refused: AWS may have refused it before it saw the token
        return OutcomeUnknown(
            provider=NAME,
            where=where,
            what=f"AWS did not say whether it made these machines ({_words(error)})",
            remedy="Run the same command again: it repeats this order and makes no second one",
        )
    if isinstance(error, ClientError) and code_of(error) in REFUSED:
        return Refused(code_of(error), message_of(error))
    return translate(error, where)


def _code(error: Exception) -> str:
    return code_of(error) if isinstance(error, ClientError) else ""


def _words(error: Exception) -> str:
    return f"{code_of(error)}: {message_of(error)}" if isinstance(error, ClientError) else str(error)


def _disk(name: str, size_gb: int) -> dict[str, Any]:
    disk = {"VolumeType": "gp3", "VolumeSize": size_gb, "Encrypted": True, "DeleteOnTermination": True}
    return {"DeviceName": name, "Ebs": disk}
