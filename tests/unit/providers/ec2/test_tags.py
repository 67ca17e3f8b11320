"""EC2: which machine of an order has which name."""

from __future__ import annotations

import threading
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient

from provision.core.errors import OutcomeUnknown
from provision.core.model import CreateRequest
from provision.core.spec import NodeGroup
from provision.planning.plan import make_plan
from provision.providers.ec2 import machines as ec2_machines
from provision.providers.ec2 import tags
from tests.fakes.ec2 import IDENTITY, Cloud, names, order

GROUP = NodeGroup("worker", "ec2", None, 2, 2.0, 10)
SPOT = {"worker": {"instance_type": "t3.small", "spot": True, "data_disk_gb": 10}}


def written(*numbers: int, token: str = "t", **more: str) -> dict[str, str]:  # noqa: S107
    wanted = tuple(f"retina-worker-{number}" for number in numbers)
    request = CreateRequest(IDENTITY, GROUP, wanted, token, "", "")
    return {**tags.of_request(request, recipe="", own={}), **more}


def short(found: dict[str, str]) -> dict[str, str]:
    return {own: name.removeprefix("retina-worker-") for own, name in found.items()}


def test_the_names_of_an_order_go_by_the_ids() -> None:
    machines = {own: written(2, 4, 9) for own in ("i-c", "i-a", "i-b")}
    assert short(tags.names_of(machines)) == {"i-a": "2", "i-b": "4", "i-c": "9"}


def test_a_written_name_stays_whatever_becomes_of_the_others() -> None:
    machines = {
        "i-c": written(1, 2, 3, **tags.as_named("retina-worker-1")),
        "i-a": written(1, 2, 3),
        "i-b": written(1, 2, 3, **tags.as_named("retina-worker-3")),
    }
    assert short(tags.names_of(machines)) == {"i-a": "2", "i-b": "3", "i-c": "1"}
    del machines["i-a"]
    assert short(tags.names_of(machines)) == {"i-b": "3", "i-c": "1"}


def test_a_name_that_is_written_twice_or_is_none_of_the_orders_counts_once_or_not_at_all() -> None:
    machines = {
        "i-a": written(1, 2, 3, **tags.as_named("retina-worker-2")),
        "i-b": written(1, 2, 3, **tags.as_named("retina-worker-2")),
        "i-c": written(1, 2, 3, Name="the good one"),
    }
    assert short(tags.names_of(machines)) == {"i-a": "2", "i-b": "1", "i-c": "3"}


def test_machines_of_an_earlier_version_keep_the_name_that_is_shown() -> None:
    machines = {"i-a": written(1, 2, Name="retina-worker-2"), "i-b": written(1, 2, Name="retina-worker-1")}
    assert short(tags.names_of(machines)) == {"i-a": "2", "i-b": "1"}


def test_orders_do_not_mix_and_strangers_have_no_name() -> None:
    machines = {"i-a": written(1, token="x"), "i-b": written(2, token="y"), "i-c": {"Name": "mine"}}
    assert short(tags.names_of(machines)) == {"i-a": "1", "i-b": "2", "i-c": ""}


def test_one_too_many_is_seen_under_a_name_that_is_there_already() -> None:
    machines = {own: written(1, 2) for own in ("i-a", "i-b", "i-c")}
    assert short(tags.names_of(machines)) == {"i-a": "1", "i-b": "2", "i-c": "2"}


def test_a_copy_made_by_hand_is_refused_by_name_and_deleted_with_the_cluster(cloud: Cloud) -> None:
    """`Launch more like this` copies tags, too."""
    provider = cloud.provider()
    made = provider.create(order(provider))
    raw = cloud.emulator.alive()[0]
    told = [{"Key": key, "Value": value} for key, value in raw["tags"].items()]
    boto3.client("ec2").run_instances(
        ImageId=raw["image"], InstanceType="t3.small", MinCount=1, MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": told}],
    )  # fmt: skip
    there = provider.list(IDENTITY)
    assert len(there) == 3 and {machine.name for machine in there} == {machine.name for machine in made}
    assert any("exists 2 times" in line for line in make_plan(provider.spec, there).refuse)
    assert len(provider.everything()) == 3
    provider.delete(IDENTITY, there)
    assert cloud.emulator.left_over() == []


def test_names_are_those_of_the_list_in_which_all_were(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list after it may be without one of them again."""
    real, complete = ec2_machines._described, []

    def described(client: Any, filters: Any) -> list[Any]:
        found = sorted(real(client, filters), key=lambda raw: str(raw["InstanceId"]))
        complete.extend([True] if len(found) == 3 else [])
        return found[1:] if len(complete) > 1 else found

    monkeypatch.setattr(ec2_machines, "_described", described)
    provider = cloud.provider()
    made = provider.create(order(provider, count=3))
    shown = {f"eu-west-1/{one['id']}": one["tags"]["Name"] for one in cloud.emulator.alive()}
    assert shown == {machine.provider_id: machine.name for machine in made}


def test_names_are_written_at_the_same_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    together, real = threading.Barrier(2, timeout=10), BaseClient._make_api_call

    def call(client: Any, action: str, told: dict[str, Any]) -> Any:
        if action == "CreateTags":
            together.wait()
        return real(client, action, told)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    provider = cloud.provider()
    assert len(provider.create(order(provider, count=2))) == 2


def test_spot_machines_have_different_names_though_each_is_the_first_of_its_request(cloud: Cloud) -> None:
    provider = cloud.provider(groups=SPOT)
    made = provider.create(order(provider, count=3))
    assert names(made) == [f"retina-worker-{number}" for number in (1, 2, 3)]
    assert {one["index"] for one in cloud.emulator.alive()} == {0}
    assert sorted(one["tags"]["Name"] for one in cloud.emulator.alive()) == names(made)


def test_names_outlast_the_machines_beside_them(cloud: Cloud) -> None:
    """An hour after one was deleted AWS lists it no more; the others are who they were."""
    provider = cloud.provider(groups=SPOT)
    made = {machine.provider_id: machine.name for machine in provider.create(order(provider, count=3))}
    gone = min(made)
    provider.delete(IDENTITY, [machine for machine in provider.list(IDENTITY) if machine.provider_id == gone])
    cloud.emulator.forget()
    found = {machine.provider_id: machine.name for machine in provider.list(IDENTITY)}
    assert found == {own: name for own, name in made.items() if own != gone}


def test_names_that_could_not_be_written_leave_the_order_open(cloud: Cloud) -> None:
    provider = cloud.provider(groups=SPOT)
    cloud.emulator.fault("CreateTags", "error", code="UnauthorizedOperation", skip=1)
    with pytest.raises(OutcomeUnknown, match="names could not be written.*does not permit CreateTags"):
        provider.create(order(provider, count=3))
    made = cloud.provider(groups=SPOT).create(order(provider, count=3))
    assert len(cloud.emulator.alive()) == 3
    assert sorted(one["tags"]["Name"] for one in cloud.emulator.alive()) == names(made)
