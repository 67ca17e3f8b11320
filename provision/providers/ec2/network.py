"""What the machines of a cluster share: a place in a VPC, a security group and a key pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from provision.core.errors import NotReady, ProviderError
from provision.core.model import ClusterIdentity
from provision.core.spec import ClusterSpec, NodeGroup
from provision.core.wait import until
from provision.providers.ec2 import tags
from provision.providers.ec2.client import NAME, Clients, code_of, once_visible, translate_errors
from provision.providers.ec2.config import Ec2Block, Ec2Settings

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_VISIBLE_S = 60.0
_UNUSED_S = 180.0
"""Seconds until a security group is free of the machines that were just deleted."""


@dataclass(frozen=True)
class Place:
    """Where machines of a group may go. `subnets`: id and zone of each, in the order of trying.

    `private`: those that give machines no public address by themselves.
    """

    vpc: str
    subnets: tuple[tuple[str, str], ...]
    private: tuple[str, ...] = ()


class Networks:
    """Finds, makes and removes what a cluster shares in a region."""

    def __init__(self, clients: Clients, spec: ClusterSpec) -> None:
        self._clients = clients
        self._spec = spec
        self._places: dict[tuple[str, str, tuple[str, ...]], Place] = {}

    def place(self, region: str, group: NodeGroup) -> Place:
        """Return where a group's machines may go: what the config names, else the default VPC.

        Raises:
            NotReady: there is nothing of the kind.
        """
        settings = Ec2Settings.of(group)
        vpc, wanted = settings.vpc, settings.subnet
        question = (region, vpc, wanted)
        if question not in self._places:
            with translate_errors(f"groups.{group.name}.subnet"):
                self._places[question] = _find_place(self._clients.ec2(region), region, vpc, wanted)
        return self._places[question]

    def ensure(
        self, region: str, cluster: ClusterIdentity, vpc: str, public_key: str, ssh_from: Sequence[str]
    ) -> tuple[str, str]:
        """Make key pair and security group where missing; return the key's name and the group's id.

        SSH comes in from the networks `ssh_from`, besides those that may already.
        """
        client = self._clients.ec2(region)
        with translate_errors(name_of(cluster)):
            self._ensure_key(client, cluster, public_key)
            group = self._find_group(client, cluster) or self._make_group(client, cluster, vpc)
            own = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
            for rule in (own, *map(_ssh, ssh_from)):
                _permit(client, group, rule)
        return name_of(cluster), group

    def allow(
        self,
        region: str,
        cluster: ClusterIdentity,
        networks: Sequence[str],
        *,
        only: bool,
        keep: Sequence[str] = (),
    ) -> tuple[list[str], list[str]]:
        """Let networks reach SSH, `only` these and what to `keep`; return those added and those withdrawn."""
        client = self._clients.ec2(region)
        with translate_errors(name_of(cluster)):
            found = self._described_group(client, cluster)
            if found is None:
                return [], []
            there = _ssh_sources(found)
            added = [one for one in dict.fromkeys(networks) if one not in there]
            withdrawn = [one for one in there if one not in (*networks, *keep)] if only else []
            _change(client, found["GroupId"], added, withdrawn)
            return added, withdrawn

    def admit_master(
        self, region: str, cluster: ClusterIdentity, networks: Sequence[str], gone: Sequence[str]
    ) -> None:
        """Let a master that is elsewhere reach SSH from networks, and not any more from those `gone`."""
        client = self._clients.ec2(region)
        with translate_errors(name_of(cluster)):
            found = self._described_group(client, cluster)
            if found is not None:
                there = _ssh_sources(found)
                added = [one for one in networks if one not in there]
                _change(client, found["GroupId"], added, [one for one in gone if one in there])

    def remove(self, region: str, cluster: ClusterIdentity) -> list[str]:
        """Remove key pair and security group; again is harmless. Returns what there was of them."""
        client = self._clients.ec2(region)
        with translate_errors(name_of(cluster)):
            key = self._delete_key(client, cluster)
            group = self._find_group(client, cluster)
            if group is not None and not until(
                lambda: _deleted(client, group), deadline_s=_UNUSED_S, interval_s=0.5, growth=1.5, longest_s=5
            ):
                raise ProviderError(
                    provider=NAME,
                    where=name_of(cluster),
                    what=f"the security group {group} is still in use {_UNUSED_S:g} s after the last machine",
                    remedy="Remove from it what you have added yourself, then run destroy_cluster.yml again",
                )
        there = {"key pair": key, "security group": group}
        return [f"{what} {name_of(cluster)}" for what, id in there.items() if id]

    def _ensure_key(self, client: EC2Client, cluster: ClusterIdentity, public_key: str) -> None:
        try:
            client.import_key_pair(
                KeyName=name_of(cluster),
                PublicKeyMaterial=public_key.encode(),
                TagSpecifications=[_specification("key-pair", self._tags(cluster))],
            )
        except ClientError as error:
            if code_of(error) != "InvalidKeyPair.Duplicate":
                raise

    def _delete_key(self, client: EC2Client, cluster: ClusterIdentity) -> bool:
        """Delete the cluster's key pair; return False when there was none.

        It is looked for first: who may delete what is tagged is not permitted to delete what is not there.
        """
        filters = [*tags.where(key_name=name_of(cluster)), *tags.tagged(tags.of_cluster(cluster))]
        found = client.describe_key_pairs(Filters=filters)["KeyPairs"]
        for pair in found:
            client.delete_key_pair(KeyName=pair["KeyName"])
        return bool(found)

    def _find_group(self, client: EC2Client, cluster: ClusterIdentity) -> str | None:
        found = self._described_group(client, cluster)
        return found["GroupId"] if found else None

    def _described_group(self, client: EC2Client, cluster: ClusterIdentity) -> Any:  # noqa: ANN401  (AWS's own)
        filters = [*tags.where(group_name=name_of(cluster)), *tags.tagged(tags.of_cluster(cluster))]
        return next(iter(client.describe_security_groups(Filters=filters)["SecurityGroups"]), None)

    def _make_group(self, client: EC2Client, cluster: ClusterIdentity, vpc: str) -> str:
        def known() -> str | None:
            return self._find_group(client, cluster)

        try:
            made = client.create_security_group(
                GroupName=name_of(cluster),
                Description=f"Machines of the Muster cluster {cluster.name}",
                VpcId=vpc,
                TagSpecifications=[_specification("security-group", self._tags(cluster))],
            )["GroupId"]
        except ClientError as error:
            if code_of(error) != "InvalidGroup.Duplicate":
                raise
            made = ""  # made by a call whose reply was lost, and not listed yet
        found = until(known, deadline_s=_VISIBLE_S, interval_s=0.2, growth=1.5, longest_s=5) or made
        if not found:
            raise ProviderError(
                provider=NAME,
                where=name_of(cluster),
                what="a security group of this name exists that is not this cluster's",
                remedy="Delete it at AWS, or give the cluster another name",
            )
        return found

    def _tags(self, cluster: ClusterIdentity) -> dict[str, str]:
        return {**self._spec.block(Ec2Block).tags, **tags.of_cluster(cluster)}


def name_of(cluster: ClusterIdentity) -> str:
    """Return the name of a cluster's key pair and security group."""
    return f"muster-{cluster.name}-{cluster.id}"


def _find_place(client: EC2Client, region: str, vpc: str, wanted: tuple[str, ...]) -> Place:
    if wanted:
        try:
            found = client.describe_subnets(SubnetIds=list(wanted))["Subnets"]
        except ClientError as error:
            if code_of(error) != "InvalidSubnetID.NotFound":
                raise
            raise NotReady(
                where="subnet",
                what=str(error).rpartition(": ")[2],
                remedy=f"Name subnets of the region {region}",
            ) from error
        found.sort(key=lambda subnet: wanted.index(subnet["SubnetId"]))
    else:
        vpc = vpc or _default_vpc(client, region)
        found = client.describe_subnets(Filters=tags.where(vpc_id=vpc, state="available"))["Subnets"]
        found = [subnet for subnet in found if subnet.get("DefaultForAz")] or found
        found.sort(key=lambda subnet: subnet["AvailabilityZone"])
    vpcs = sorted({subnet["VpcId"] for subnet in found} | ({vpc} - {""}))
    if not found or len(vpcs) != 1:
        what = f"these subnets are in different VPCs: {', '.join(vpcs)}" if found else f"{vpc} has no subnet"
        raise NotReady(where="ec2.subnet", what=what, remedy="Name subnets of one VPC")
    subnets = tuple((subnet["SubnetId"], subnet["AvailabilityZone"]) for subnet in found)
    private = [subnet["SubnetId"] for subnet in found if not subnet.get("MapPublicIpOnLaunch")]
    return Place(vpcs[0], subnets, tuple(private))


def _default_vpc(client: EC2Client, region: str) -> str:
    found = client.describe_vpcs(Filters=tags.where(is_default="true"))["Vpcs"]
    if not found:
        raise NotReady(
            where="ec2.vpc",
            what=f"the region {region} has no default VPC",
            remedy="Name one under ec2.vpc, or make one with aws ec2 create-default-vpc",
        )
    return found[0]["VpcId"]


def _ssh(network: str) -> Any:  # noqa: ANN401  (AWS's own structure)
    return {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": network}]}


def _ssh_sources(group: Any) -> list[str]:  # noqa: ANN401  (AWS's own structure)
    """Return the networks from which a security group lets SSH in, as `_ssh` has written them."""
    return [
        known["CidrIp"]
        for rule in group["IpPermissions"]
        if (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort")) == ("tcp", 22, 22)
        for known in rule["IpRanges"]
    ]


def _change(client: EC2Client, group: str, added: Sequence[str], withdrawn: Sequence[str]) -> None:
    """Let networks reach SSH, and others not any more."""
    for one in added:
        _permit(client, group, _ssh(one))
    if withdrawn:
        client.revoke_security_group_ingress(GroupId=group, IpPermissions=[_ssh(one) for one in withdrawn])


def _permit(client: EC2Client, group: str, rule: Any) -> bool:  # noqa: ANN401  (AWS's own structure)
    """Add a rule; return False when it was there."""
    try:
        once_visible(lambda: client.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule]))
    except ClientError as error:
        if code_of(error) == "RulesPerSecurityGroupLimitExceeded":
            raise NotReady(
                where=group,
                what="the security group is full: each network that may or once might log in is a rule",
                remedy="./muster allow --only takes those of before away",
            ) from error
        if code_of(error) != "InvalidPermission.Duplicate":
            raise
        return False
    return True


def _deleted(client: EC2Client, group: str) -> bool:
    try:
        client.delete_security_group(GroupId=group)
    except ClientError as error:
        if code_of(error) == "DependencyViolation":
            return False
        if code_of(error) != "InvalidGroup.NotFound":
            raise
    return True


def _specification(kind: Any, of: Mapping[str, str]) -> Any:  # noqa: ANN401  (AWS's own structures)
    return {"ResourceType": kind, "Tags": tags.to_aws(of)}
