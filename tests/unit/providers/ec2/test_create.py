"""EC2: what an order makes, and that it is made once whatever happens to the calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from botocore.client import BaseClient

from provision.core.errors import NoCapacity, NotReady, OutcomeUnknown, ProviderError
from provision.core.model import CreateRequest, NodeState
from provision.core.spec import NodeGroup
from provision.providers.ec2 import requests, tags
from provision.providers.ec2.ledger import Alternative, Ledger, Order
from tests.fakes.ec2 import IDENTITY, Cloud, names, order

WORKERS = ["retina-worker-1", "retina-worker-2"]
FALL_OVER = {"worker": {"instance_type": ["t3.small", "t3.medium"], "data_disk_gb": 10}}


class KilledError(BaseException):
    """SIGKILL, as far as this process can feel it."""


def test_one_call_makes_machines_with_all_they_need(cloud: Cloud) -> None:
    provider = cloud.provider(ec2={"tags": {"project": "eyes"}})
    made = provider.create(order(provider))
    books = cloud.emulator.books()
    assert names(made) == WORKERS
    assert books["calls"]["RunInstances"] == 1
    one = books["instances"][0]
    assert (one["type"], one["metadata"], one["market"]) == ("t3.small", ["required", 1], "on-demand")
    assert one["tags"]["project"] == "eyes" and one["tags"]["muster:cluster"] == "retina"
    assert one["key"] == "muster-retina-0123abcd" == books["keys"][0] == books["groups"][0]["name"]
    assert {(volume["type"], volume["size"], volume["encrypted"]) for volume in books["volumes"]} == {
        ("gp3", 20, True), ("gp3", 10, True)}  # fmt: skip
    assert all(volume["tags"]["muster:cluster-id"] == "0123abcd" for volume in books["volumes"])
    (group,) = books["groups"]
    assert (group["ssh"], group["ports"], group["among_themselves"]) == (["198.51.100.7/32"], ["22"], True)


def test_a_machine_says_what_the_inventory_needs(cloud: Cloud) -> None:
    provider = cloud.provider()
    provider.create(order(provider))
    machine = provider.list(IDENTITY)[0]
    assert (machine.group, machine.state, machine.image) == ("worker", NodeState.RUNNING, "")
    assert machine.data_device.startswith("/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0")
    assert (machine.labels["cores"], machine.labels["memory_gb"]) == ("2", "2")  # the type's, not the file's
    assert machine.ssh_address != machine.address and machine.address.startswith("172.31.")


def test_older_types_see_their_disk_under_another_name(cloud: Cloud) -> None:
    provider = cloud.provider(groups={"worker": {"instance_type": "t2.medium", "data_disk_gb": 10}})
    assert {machine.data_device for machine in provider.create(order(provider))} == {"/dev/xvdf"}


def test_names_with_gaps(cloud: Cloud) -> None:
    provider = cloud.provider()
    wanted = [f"retina-worker-{number}" for number in (1, 2, 4, 7, 8, 10)]
    made = provider.create(order(provider, names=tuple(wanted)))
    assert {machine.name for machine in made} == set(wanted)


def test_the_numbers_of_a_thousand_machines_fit_into_tags() -> None:
    wanted = tuple(f"retina-worker-{number}" for number in range(1, 2000, 2))
    group = NodeGroup("worker", "ec2", None, 2, 2.0, 10)
    written = tags.of_request(CreateRequest(IDENTITY, group, wanted, "t", "", ""), recipe="", own={})
    assert len(written) < 50 and max(map(len, written.values())) <= tags.VALUE_LIMIT
    machines = {f"i-{number:04}": written for number in range(1000)}
    assert tuple(tags.names_of(machines).values()) == wanted


def test_the_same_token_gives_the_same_machines(cloud: Cloud) -> None:
    provider = cloud.provider()
    first = provider.create(order(provider))
    again = cloud.provider().create(order(provider))
    assert {m.provider_id for m in first} == {m.provider_id for m in again}
    assert len(cloud.emulator.alive()) == 2


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "500-before", "500-after", "throttle"])
def test_a_call_that_fails_once_is_repeated_and_makes_one_set(cloud: Cloud, kind: str) -> None:
    cloud.emulator.fault("RunInstances", kind)
    provider = cloud.provider()
    assert names(provider.create(order(provider))) == WORKERS
    books = cloud.emulator.books()
    assert len(books["orders"]) == 1 and books["calls"]["RunInstances"] == 2


def test_each_attempt_is_noted_as_machines_of_it_may_turn_up_so_much_later(
    cloud: Cloud, hurry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the last of many attempts, minutes after the first, a refusal must not be believed at once."""
    real, begun = BaseClient._make_api_call, []

    def call(client: Any, action: str, told: dict[str, Any]) -> Any:
        if action == "RunInstances":
            (noted,) = Ledger(cloud.folder / "state" / "retina").unsettled().values()
            begun.append(noted.begun)
        return real(client, action, told)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    cloud.emulator.fault("RunInstances", "500-before")
    cloud.emulator.fault("RunInstances", "error", code="InvalidKeyPair.NotFound")
    provider = cloud.provider()
    provider.create(order(provider))
    assert len(begun) == 3 and begun[0] < begun[1] < begun[2]


@pytest.mark.parametrize(("kind", "made"), [("drop-before", 0), ("drop-after", 2), ("500-after", 2)])
def test_a_lost_reply_leaves_the_outcome_open_and_the_next_run_settles_it(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, kind: str, made: int
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    cloud.emulator.fault("RunInstances", kind)
    provider = cloud.provider()
    with pytest.raises(OutcomeUnknown, match="Run the same command again"):
        provider.create(order(provider))
    assert len(cloud.emulator.alive()) == made
    cloud.emulator.set(invisible_s=1)  # those made now; the others are listed
    assert names(cloud.provider().create(order(provider))) == WORKERS
    assert len(cloud.emulator.books()["orders"]) == 1


def test_a_refused_repetition_does_not_hide_that_the_first_attempt_was_carried_out(cloud: Cloud) -> None:
    cloud.emulator.fault("RunInstances", "drop-after")
    cloud.emulator.fault("RunInstances", "error", code="ExpiredToken")
    provider = cloud.provider()
    with pytest.raises(OutcomeUnknown, match="ExpiredToken"):
        provider.create(order(provider))
    assert names(cloud.provider().create(order(provider))) == WORKERS
    assert len(cloud.emulator.books()["orders"]) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_the_call(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    real = requests.run

    def mortal(*arguments: object, **named: object) -> int:
        if moment == "after":
            real(*arguments, **named)  # type: ignore[arg-type]
        raise KilledError

    cloud.emulator.set(invisible_s=1)
    monkeypatch.setattr(requests, "run", mortal)
    provider = cloud.provider()
    with pytest.raises(KilledError):
        provider.create(order(provider))
    monkeypatch.setattr(requests, "run", real)
    assert names(cloud.provider().create(order(provider))) == WORKERS
    assert len(cloud.emulator.alive()) == 2


def test_a_new_machine_that_no_list_shows_yet_is_waited_for(cloud: Cloud) -> None:
    cloud.emulator.set(invisible_s=1.5)
    provider = cloud.provider()
    assert names(provider.create(order(provider))) == WORKERS
    assert names(provider.list(IDENTITY)) == WORKERS


def test_a_new_group_or_key_that_aws_does_not_know_everywhere_yet(cloud: Cloud) -> None:
    cloud.emulator.fault("AuthorizeSecurityGroupIngress", "error", code="InvalidGroup.NotFound")
    cloud.emulator.fault("RunInstances", "error", code="InvalidKeyPair.NotFound")
    provider = cloud.provider()
    assert names(provider.create(order(provider))) == WORKERS


def test_the_address_is_withheld_until_the_disk_is_known(cloud: Cloud) -> None:
    cloud.emulator.set(pending_s=60)
    provider = cloud.provider()
    assert {(m.state, m.ssh_address) for m in provider.create(order(provider))} == {(NodeState.PENDING, "")}


def test_the_address_is_withheld_while_aws_has_not_linked_the_disk(cloud: Cloud) -> None:
    cloud.emulator.set(late_disks=4)
    provider = cloud.provider()
    (made,) = provider.create(order(provider, count=1))
    assert (made.state, made.ssh_address, made.data_device) == (NodeState.RUNNING, "", "")
    seen = [provider.list(IDENTITY)[0] for _ in range(4)]
    assert seen[-1].ssh_address and seen[-1].data_device
    assert all(bool(one.ssh_address) == bool(one.data_device) for one in seen)


def test_no_room_next_zone_then_next_type(cloud: Cloud) -> None:
    cloud.emulator.room({"t3.small/eu-west-1a/*": 1, "t3.small/eu-west-1b/*": 0, "t3.small/eu-west-1c/*": 0})
    provider = cloud.provider(groups=FALL_OVER)
    provider.create(order(provider))
    assert [(o["type"], o["zone"], o["token"][-2:]) for o in cloud.emulator.books()["orders"]] == [
        ("t3.medium", "eu-west-1a", "-3")
    ]


def test_room_that_comes_back_does_not_double_an_order(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the second alternative was made, not listed yet, while the first one has room again."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    cloud.emulator.room({"t3.small/eu-west-1a/*": 0})
    cloud.emulator.fault("RunInstances", "drop-after", skip=1)
    cloud.emulator.set(invisible_s=2)
    provider = cloud.provider(groups=FALL_OVER)
    with pytest.raises(OutcomeUnknown):
        provider.create(order(provider))
    cloud.emulator.room({"t3.small/eu-west-1a/*": 9})
    assert names(cloud.provider(groups=FALL_OVER).create(order(provider))) == WORKERS
    assert [o["zone"] for o in cloud.emulator.books()["orders"]] == ["eu-west-1b"]


def test_no_room_anywhere(cloud: Cloud) -> None:
    cloud.emulator.room({"*/*/*": 1})
    provider = cloud.provider(groups=FALL_OVER)
    with pytest.raises(NoCapacity, match=r"t3.medium in eu-west-1c.*InsufficientInstanceCapacity"):
        provider.create(order(provider))
    assert cloud.emulator.alive() == [] and cloud.emulator.books()["calls"]["RunInstances"] == 6


def test_a_used_up_quota_is_not_waited_for(cloud: Cloud) -> None:
    cloud.emulator.fault("RunInstances", "error", times=9, code="VcpuLimitExceeded", message="limit of 32")
    provider = cloud.provider()
    with pytest.raises(ProviderError, match="quota is used up.*limit of 32.*Service Quotas") as caught:
        provider.create(order(provider))
    assert not isinstance(caught.value, NoCapacity)


def test_spot_with_its_price(cloud: Cloud) -> None:
    groups = {"worker": {"instance_type": "t3.small", "spot": True, "max_price": 0.05, "data_disk_gb": 10}}
    provider = cloud.provider(groups=groups)
    made = provider.create(order(provider))
    provider.create(order(provider, "master", 1, token="1" * 32, names=("retina-master",)))
    orders = cloud.emulator.books()["orders"]
    assert [one["market"] for one in orders] == ["spot", "on-demand"]
    assert {one["shutdown"] for one in cloud.emulator.alive() if one["market"] == "spot"} == {"terminate"}
    with pytest.raises(ProviderError, match="cannot be stopped, only deleted"):
        provider.stop(IDENTITY, made)


@pytest.mark.parametrize("allowed", [True, False])
def test_on_demand_instead_of_spot_only_when_allowed(cloud: Cloud, allowed: bool) -> None:
    cloud.emulator.room({"*/*/spot": 0})
    worker = {"instance_type": "t3.small", "spot": True, "on_demand": allowed, "data_disk_gb": 10}
    provider = cloud.provider(groups={"worker": worker})
    if allowed:
        provider.create(order(provider))
        assert [one["market"] for one in cloud.emulator.books()["orders"]] == ["on-demand"]
    else:
        with pytest.raises(NoCapacity):
            provider.create(order(provider))


def test_an_order_that_aws_knows_with_other_content(cloud: Cloud) -> None:
    provider = cloud.provider()
    provider.create(order(provider))
    (cloud.folder / "state" / "retina" / "requests" / f"{'0' * 32}.ec2").unlink()
    with pytest.raises(OutcomeUnknown, match="before, with other content.*destroy_cluster.yml"):
        cloud.provider().create(order(provider, user_data="#cloud-config\nother: true\n"))
    assert len(cloud.emulator.alive()) == 2


def test_machines_with_a_time_to_live_delete_themselves(cloud: Cloud) -> None:
    provider = cloud.provider(ttl="8h")
    provider.create(order(provider))
    assert {one["shutdown"] for one in cloud.emulator.alive()} == {"terminate"}


@pytest.mark.parametrize("code", ["InsufficientInstanceCapacity", "InsufficientHostCapacity"])
def test_no_room_is_an_answer_though_it_is_an_error_of_the_server(cloud: Cloud, code: str) -> None:
    """It is asked once for each alternative, and what it refuses was not made."""
    cloud.emulator.fault("RunInstances", "error", code=code)
    provider = cloud.provider(groups=FALL_OVER)
    provider.create(order(provider))
    books = cloud.emulator.books()
    assert books["calls"]["RunInstances"] == 2 and [o["zone"] for o in books["orders"]] == ["eu-west-1b"]


def test_a_type_that_a_zone_does_not_have_is_not_waited_for(cloud: Cloud) -> None:
    cloud.emulator.fault("RunInstances", "error", code="Unsupported", message="not supported in your zone")
    provider = cloud.provider(groups=FALL_OVER)
    provider.create(order(provider))
    assert [o["zone"] for o in cloud.emulator.books()["orders"]] == ["eu-west-1b"]
    cloud.emulator.fault("RunInstances", "error", times=9, code="Unsupported")
    with pytest.raises(ProviderError, match="does not have these types there.*other zones") as caught:
        provider.create(order(provider, token="1" * 32))
    assert not isinstance(caught.value, NoCapacity)


@pytest.mark.parametrize("kind", ["drop-after", "500-after"])
def test_no_room_for_a_repetition_does_not_lead_to_the_next_alternative(cloud: Cloud, kind: str) -> None:
    """The attempt before may have been carried out: machines of another type beside it would be double."""
    cloud.emulator.fault("RunInstances", kind)
    cloud.emulator.fault("RunInstances", "error", code="InsufficientInstanceCapacity")
    cloud.emulator.set(invisible_s=1)
    provider = cloud.provider(groups=FALL_OVER)
    with pytest.raises(OutcomeUnknown, match="InsufficientInstanceCapacity"):
        provider.create(order(provider))
    assert names(cloud.provider(groups=FALL_OVER).create(order(provider))) == WORKERS
    assert len(cloud.emulator.books()["orders"]) == 1


def test_an_order_that_comes_too_often_is_asked_again_and_then_refused(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    cloud.emulator.fault("RunInstances", "throttle", times=2)
    provider = cloud.provider()
    with pytest.raises(ProviderError, match="RequestLimitExceeded") as caught:
        provider.create(order(provider))
    assert not isinstance(caught.value, OutcomeUnknown)
    assert cloud.emulator.books()["calls"]["RunInstances"] == 2 and not cloud.emulator.alive()


def test_an_account_on_the_free_plan(cloud: Cloud) -> None:
    cloud.emulator.fault(
        "RunInstances",
        "error",
        code="InvalidParameterCombination",
        message="The specified instance type is not eligible for Free Tier.",
    )
    provider = cloud.provider()
    with pytest.raises(NotReady, match=r"free plan.*free-tier-eligible"):
        provider.create(order(provider))


def test_the_request_of_spot_machines_is_tagged_too(cloud: Cloud) -> None:
    made = Alternative("t3.small", "subnet-1", "a", spot=True, image="ami-1", root="/dev/xvda", root_gb=8)
    provider = cloud.provider()
    common = requests.common(order(provider), key_name="k", security_group="sg-1", lives=True)
    for spot, kinds in (
        (True, {"instance", "volume", "spot-instances-request"}),
        (False, {"instance", "volume"}),
    ):
        wanted = requests.parameters(Order("eu-west-1", 2, common, (replace(made, spot=spot),)), "t")
        assert {one["ResourceType"] for one in wanted["TagSpecifications"]} == kinds
        assert wanted["InstanceInitiatedShutdownBehavior"] == ("terminate" if spot else "stop")
