"""EC2: the AWS command line and Flintrock see in the account what `./muster list` says, and do not get in its way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from provision.core.model import Node
from provision.providers.ec2.tags import from_aws, to_aws
from tests.emulators.ec2 import images
from tests.emulators.ec2.harness import REGION
from tests.fakes.ec2 import Cloud
from tests.strangers.programs import Shell

TYPES = {"master": "t3.medium", "worker": "t3.small"}
ALIVE = "Name=instance-state-name,Values=pending,running,stopping,stopped"


@pytest.fixture
def config(cloud: Cloud) -> Path:
    """The config file of a cluster of three."""
    cloud.cluster(3).ensure()
    return cloud.folder / "retina.yml"


def instances(shell: Shell) -> dict[str, dict[str, Any]]:
    """What the AWS command line lists, by id, without what is gone."""
    told = shell.json("aws", "ec2", "describe-instances", "--filters", ALIVE)
    return {one["InstanceId"]: one for group in told["Reservations"] for one in group["Instances"]}


def by_id(cloud: Cloud) -> dict[str, Node]:
    """The machines of the cluster by EC2's ids; Muster's have the region before them."""
    return {node.machine.provider_id.split("/")[1]: node for node in cloud.cluster(3).view.nodes}


def described(shell: Shell) -> dict[str, Any]:
    """What Flintrock describes: clusters by name."""
    _, found, clusters = shell.text("flintrock", "describe", "--ec2-region", REGION).partition("---\n")
    return dict(yaml.safe_load(clusters)) if found else {}


def test_aws_lists_the_machines_that_muster_lists(ec2: Shell, cloud: Cloud, config: Path) -> None:
    told, nodes = instances(ec2), by_id(cloud)
    assert {node.name: told[id]["State"]["Name"] for id, node in nodes.items()} == ec2.listed(config)
    assert told.keys() == nodes.keys()
    for id, node in nodes.items():
        assert told[id]["InstanceType"] == TYPES[node.group.name]
        assert told[id]["PrivateIpAddress"] == node.address
        assert told[id]["PublicIpAddress"] == node.machine.ssh_address
        assert from_aws(told[id]["Tags"])["Name"] == node.name


def test_what_belongs_to_the_machines_is_theirs_alone(ec2: Shell, cloud: Cloud, config: Path) -> None:
    told, identity = instances(ec2), cloud.cluster(3).view.identity.id
    groups = ec2.json("aws", "ec2", "describe-security-groups")["SecurityGroups"]
    keys = ec2.json("aws", "ec2", "describe-key-pairs")["KeyPairs"]
    volumes = ec2.json("aws", "ec2", "describe-volumes")["Volumes"]
    (own,) = [group for group in groups if group["GroupName"] != "default"]
    assert {group["GroupId"] for one in told.values() for group in one["SecurityGroups"]} == {own["GroupId"]}
    assert {one["KeyName"] for one in told.values()} == {key["KeyName"] for key in keys}
    attached = Counter(attachment["InstanceId"] for volume in volumes for attachment in volume["Attachments"])
    assert attached == dict.fromkeys(told, 2), "a system disk and a data disk"
    assert sorted(volume["Size"] for volume in volumes)[:3] == [10, 10, 10]
    for thing in (*told.values(), own, *keys, *volumes):
        assert from_aws(thing["Tags"])["muster:cluster-id"] == identity


def test_muster_lists_what_aws_has_changed(ec2: Shell, cloud: Cloud, config: Path) -> None:
    ids = {node.name: id for id, node in by_id(cloud).items()}
    ec2.text("aws", "ec2", "stop-instances", "--instance-ids", ids["retina-worker-1"])
    ec2.text("aws", "ec2", "terminate-instances", "--instance-ids", ids["retina-worker-2"])
    assert ec2.listed(config) == {"retina-master": "running", "retina-worker-1": "stopped"}
    ec2.text("aws", "ec2", "start-instances", "--instance-ids", ids["retina-worker-1"])
    assert ec2.listed(config) == {"retina-master": "running", "retina-worker-1": "running"}


def test_aws_sees_nothing_of_what_muster_has_deleted(ec2: Shell, cloud: Cloud, config: Path) -> None:
    cloud.cluster(3).destroy()
    assert ec2.listed(config) == {} and instances(ec2) == {}
    groups = ec2.json("aws", "ec2", "describe-security-groups")["SecurityGroups"]
    assert [group["GroupName"] for group in groups] == ["default"]
    assert ec2.json("aws", "ec2", "describe-key-pairs")["KeyPairs"] == []
    assert ec2.json("aws", "ec2", "describe-volumes")["Volumes"] == []


def test_flintrock_and_muster_leave_each_other_alone(ec2: Shell, cloud: Cloud, config: Path) -> None:
    """Both have a cluster of the same name in one account."""
    ours = ec2.listed(config)
    assert described(ec2) == {}
    theirs = as_flintrock("retina")
    assert described(ec2)["retina"]["node-count"] == len(theirs)
    assert ec2.listed(config) == ours
    cloud.cluster(3).destroy()
    assert instances(ec2).keys() == theirs
    assert described(ec2)["retina"]["state"] == "running"


def test_what_flintrock_destroys_is_its_own(ec2: Shell, config: Path) -> None:
    ours, theirs = instances(ec2).keys(), as_flintrock("retina")
    ec2.text("flintrock", "destroy", "--assume-yes", "retina", "--ec2-region", REGION)
    assert described(ec2) == {}
    assert instances(ec2).keys() == ours and not ours & theirs
    assert list(ec2.listed(config).values()) == ["running"] * 3


def as_flintrock(name: str) -> set[str]:
    """Make machines as Flintrock does: its two groups, its three tags, the default subnet. Return their ids."""
    client = boto3.client("ec2")
    groups = ["flintrock", f"flintrock-{name}"]
    for group in groups:
        client.create_security_group(GroupName=group, Description=group)
    made: set[str] = set()
    for role, count in (("master", 1), ("slave", 2)):
        own = {"flintrock-name": name, "flintrock-role": role, "Name": f"{name}-{role}"}
        told = client.run_instances(
            ImageId=images.DEBIAN,
            InstanceType="m5.large",
            MinCount=count,
            MaxCount=count,
            SecurityGroups=groups,
            SubnetId="",
            BlockDeviceMappings=[{"VirtualName": "ephemeral0", "DeviceName": "/dev/sdb"}],
            TagSpecifications=[{"ResourceType": "instance", "Tags": to_aws(own)}],
        )
        assert all(one["PrivateIpAddress"].startswith("172.31.") for one in told["Instances"])
        made |= {one["InstanceId"] for one in told["Instances"]}
    return made
