"""EC2: whole clusters; the emulator's books are the judge. What goes wrong is in test_ec2_crashes.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from provision.cluster.cluster import Cluster
from provision.cluster.view import ClusterView
from provision.core.errors import NoCapacity, NotReady, PlanRefused
from provision.providers.ec2 import tags
from provision.providers.ec2.checks import NOT_ASKED
from tests.fakes.ec2 import Cloud


def journey(cloud: Cloud) -> Iterator[Callable[[], object]]:
    """The steps of a cluster's life, each by a process of its own."""
    yield lambda: cloud.cluster(2).ensure()
    yield lambda: cloud.cluster(3).ensure()
    yield lambda: cloud.cluster(2).ensure(scale_in=True)
    yield lambda: cloud.cluster(2).destroy()


def test_create_grow_shrink_destroy(cloud: Cloud) -> None:
    for step, wish in zip(journey(cloud), (2, 3, 2, 0), strict=True):
        step()
        cloud.settled(wish)
    assert cloud.emulator.left_over() == []
    orders = cloud.emulator.books()["orders"]
    assert [(order["count"], order["type"]) for order in orders] == [
        (1, "t3.medium"),
        (1, "t3.small"),
        (1, "t3.small"),
    ]


def test_a_second_start_orders_nothing(cloud: Cloud) -> None:
    cloud.cluster(2).ensure()
    assert not cloud.cluster(2).ensure().changed
    cloud.cluster(2).destroy()


def test_no_room_for_one_group_keeps_the_others(cloud: Cloud) -> None:
    cloud.emulator.room({"t3.small/*/*": 0})
    with pytest.raises(NoCapacity, match="stay"):
        cloud.cluster(2).ensure()
    cloud.settled(1)
    cloud.emulator.room({"t3.small/*/*": 5})
    cloud.cluster(2).ensure()
    cloud.settled(2)
    cloud.cluster(2).destroy()


@pytest.mark.parametrize("types", ["t3.small", ["t3.medium", "t3.small"]])
def test_a_type_that_is_too_small_for_the_services_is_refused_by_plan_and_before_the_order(
    cloud: Cloud, types: str | list[str]
) -> None:
    """The file does not tell what a type has: AWS does."""
    small = cloud.cluster(3, groups={"master": {"instance_type": types, "data_disk_gb": 10}})
    words = (
        r"^groups\.master\.instance_type: t3\.small: 2 GB of memory are too few .* at least 3\. Name a larger"
    )
    with pytest.raises(NotReady, match=words):
        small.ready(small.view.plan())
    with pytest.raises(NotReady, match=words):
        small.ensure()
    assert cloud.emulator.books()["orders"] == [] and cloud.emulator.left_over() == []


def test_a_machine_that_runs_no_services_may_be_small(cloud: Cloud) -> None:
    """As one in which an image is made."""
    spec = cloud.spec(1, groups={"master": {"instance_type": "t3.small", "data_disk_gb": 10}}).sized(1)
    view = ClusterView(spec, root=cloud.folder, daemons=False)
    assert view.ready(view.plan()) == [NOT_ASKED]


def test_two_clusters_of_one_name_do_not_meet(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.cluster(2).ensure()
    monkeypatch.setenv("MUSTER_STATE", str(cloud.folder / "elsewhere"))
    other: Cluster = cloud.cluster(2)
    other.ensure()
    other.destroy()
    cloud.settled(2)
    monkeypatch.setenv("MUSTER_STATE", str(cloud.folder / "state"))
    cloud.cluster(2).destroy()
    assert cloud.emulator.left_over() == []


def test_a_changed_type_or_region_loses_no_machine(cloud: Cloud) -> None:
    cloud.cluster(2).ensure()
    larger: dict[str, Any] = {"worker": {"instance_type": ["t3.large", "t3.xlarge"], "data_disk_gb": 10}}
    with pytest.raises(PlanRefused, match=r"worker-1: .* \(t3.small, not t3.large or t3.xlarge\)"):
        cloud.cluster(3, groups=larger).ensure()
    with pytest.raises(PlanRefused, match=r"master: .* \(in eu-west-1, not eu-central-1\)"):
        cloud.cluster(3, ec2={"region": "eu-central-1"}).ensure()
    cloud.settled(2)
    cloud.cluster(2, ec2={"region": "eu-central-1"}).destroy()
    assert cloud.emulator.left_over() == []


def test_a_jump_host_is_in_the_ssh_config(cloud: Cloud) -> None:
    keys: dict[str, Any] = {"ec2": {"ssh_address": "private", "jump_host": "ada@gate.example"}}
    cloud.cluster(1, **keys).ensure()
    written = (cloud.folder / "state" / "retina" / "ssh_config").read_text()
    assert (
        "ProxyCommand ssh -o BatchMode=yes -W %h:%p ada@gate.example" in written
        and "HostName 172.31." in written
    )
    cloud.cluster(1, **keys).destroy()


def test_calls_grow_with_groups_not_with_machines(cloud: Cloud, hurry: None) -> None:
    """Only tags that differ are written to each machine; what looks at machines looks at all of them at once."""
    seen = []
    for nodes in (2, 20):
        cloud.emulator.reset()
        cloud.cluster(nodes).ensure()
        cloud.cluster(nodes).destroy()
        seen.append({name: n for name, n in cloud.emulator.books()["calls"].items() if name != "CreateTags"})
    few, many = seen
    assert many == few and many["RunInstances"] == 2


def test_one_machine_more_costs_as_much_however_many_there_are(cloud: Cloud, hurry: None) -> None:
    """Neither what is asked of EC2 nor what is written down grows with the cluster that it joins."""
    seen = []
    for nodes in (3, 50):
        cloud.cluster(nodes).ensure()
        journal = cloud.folder / "state" / "retina" / "journal.jsonl"
        before, lines = Counter(cloud.emulator.books()["calls"]), len(journal.read_text().splitlines())
        cloud.cluster(nodes + 1).ensure()
        calls = Counter(cloud.emulator.books()["calls"]) - before
        seen.append((calls, len(journal.read_text().splitlines()) - lines))
    few, many = seen
    assert many == few and few[0]["RunInstances"] == few[0]["CreateTags"] == 1


def shutdown(cloud: Cloud) -> set[str]:
    """What becomes of the machines when they power themselves off."""
    return {one["shutdown"] for one in cloud.emulator.alive()}


@pytest.mark.parametrize("later", [{"ttl": "8h"}, {"autostop": "30m"}, {"budget": {"total": 20}}])
def test_an_end_that_is_added_later_deletes_the_machines(cloud: Cloud, later: dict[str, Any]) -> None:
    cloud.emulator.set(listed={"t3.medium": 0.0456, "t3.small": 0.0228, "gp3": 0.088})
    cloud.cluster(2).ensure()
    assert shutdown(cloud) == {"stop"} and cloud.cluster(2).view.stays() is None
    ends = cloud.cluster(2, **later)
    ends.ensure()
    assert shutdown(cloud) == {"terminate"} and ends.view.stays() == []
    before = cloud.emulator.books()["calls"]["ModifyInstanceAttribute"]
    cloud.cluster(3, **later).ensure()
    assert shutdown(cloud) == {"terminate"}
    assert cloud.emulator.books()["calls"]["ModifyInstanceAttribute"] == before == 2
    cloud.cluster(3, **later).destroy()


def test_an_end_that_was_told_halfway_is_told_to_all_by_the_same_command(cloud: Cloud) -> None:
    cloud.cluster(3).ensure()
    cloud.emulator.fault("ModifyInstanceAttribute", "error", code="UnauthorizedOperation", skip=1)
    with pytest.raises(NotReady, match="does not permit ModifyInstanceAttribute"):
        cloud.cluster(3, ttl="8h").ensure()
    assert shutdown(cloud) == {"terminate", "stop"}
    assert cloud.cluster(3, ttl="8h").view.stays()
    cloud.cluster(3, ttl="8h").ensure()
    assert shutdown(cloud) == {"terminate"} and cloud.cluster(3, ttl="8h").view.stays() == []
    cloud.cluster(3).destroy()


def test_machines_that_end_no_more_stay_when_they_power_themselves_off(cloud: Cloud) -> None:
    cloud.cluster(2, ttl="8h").ensure()
    cloud.cluster(2).ensure()
    assert shutdown(cloud) == {"terminate"}, "its deadline stays until it is stopped"
    cloud.cluster(3).ensure()
    assert shutdown(cloud) == {"terminate"}, "nor do machines that join it live longer"
    cloud.cluster(3).stop()
    cloud.cluster(3).ensure()
    assert shutdown(cloud) == {"stop"}
    cloud.cluster(3).destroy()


def test_machines_for_experiments_are_gone_when_they_power_themselves_off(cloud: Cloud) -> None:
    """Without a deadline, too: they do so when they have nothing to do."""
    wish = {"experiments": 1, "groups": {"experiment": {"instance_type": "t3.small"}}}

    def at_poweroff() -> dict[str, str]:
        return {one["tags"]["Name"]: one["shutdown"] for one in cloud.emulator.alive()}

    wanted = {"retina-master": "stop", "retina-experiment-1": "terminate"}
    cloud.cluster(1, **wish).ensure()
    assert at_poweroff() == wanted
    cloud.emulator.set(policy=False)
    (own,) = [one["id"] for one in cloud.emulator.alive() if one["tags"]["Name"].endswith("experiment-1")]
    told = {"InstanceInitiatedShutdownBehavior": {"Value": "stop"}}
    boto3.client("ec2").modify_instance_attribute(InstanceId=own, **told)
    boto3.client("ec2").delete_tags(Resources=[own], Tags=[{"Key": f"{tags.LABEL}{tags.POWEROFF}"}])
    cloud.cluster(1, **wish).stop()
    cloud.cluster(1, **wish).ensure()
    assert at_poweroff() == wanted
    cloud.cluster(1, **wish).destroy()


def test_an_extension_tells_machines_of_an_earlier_version_too(cloud: Cloud) -> None:
    cluster = cloud.cluster(2, ttl="8h")
    cluster.ensure()
    cloud.emulator.set(policy=False)
    client = boto3.client("ec2")
    for one in cloud.emulator.alive():
        client.modify_instance_attribute(
            InstanceId=one["id"], InstanceInitiatedShutdownBehavior={"Value": "stop"}
        )
        client.delete_tags(Resources=[one["id"]], Tags=[{"Key": f"{tags.LABEL}{tags.POWEROFF}"}])
    assert cluster.view.stays() == ["retina-master", "retina-worker-1"]
    cluster.extend("1h")
    assert shutdown(cloud) == {"terminate"} and cluster.view.stays() == []
    cluster.destroy()
