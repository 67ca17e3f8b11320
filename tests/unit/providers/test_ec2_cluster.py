"""EC2: a whole cluster's create, scale and destroy, killed around API calls; the emulator's books are the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.client import BaseClient

from provision.cluster import Cluster
from provision.errors import MusterError, NoCapacity, PlanRefused
from tests.unit.providers.ec2_cloud import Cloud

CHANGING = (
    "ImportKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances",
    "TerminateInstances", "DeleteKeyPair", "DeleteSecurityGroup",
)  # fmt: skip
USUAL = {
    ("CreateSecurityGroup", True), ("RunInstances", False), ("RunInstances", True), ("TerminateInstances", True),
    ("DeleteKeyPair", False),
}  # fmt: skip


class KilledError(BaseException):
    """SIGKILL, as far as this process can feel it."""


class Killer:
    """Kills the process around the n-th API call that `hits` says yes to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hits: Callable[[str], bool] = lambda _: False
        self.after = False
        self.left = 0
        self.seen: list[str] = []
        real = BaseClient._make_api_call

        def call(client: Any, action: str, told: dict[str, Any]) -> Any:
            self.seen.append(action)
            hit = self.hits(action)
            self.left -= hit
            if hit and self.left == 0 and not self.after:
                raise KilledError
            answer = real(client, action, told)
            if hit and self.left == 0:
                raise KilledError
            return answer

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

    def arm(self, hits: Callable[[str], bool], *, after: bool, number: int = 1) -> None:
        self.hits, self.after, self.left = hits, after, number
        self.seen.clear()


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Killer:
    return Killer(monkeypatch)


def journey(cloud: Cloud) -> Iterator[Callable[[], object]]:
    """The steps of a cluster's life, each by a process of its own."""
    yield lambda: cloud.cluster(2).ensure()
    yield lambda: cloud.cluster(3).ensure(wish=3)
    yield lambda: cloud.cluster(2).ensure(wish=2, scale_in=True)
    yield lambda: cloud.cluster(2).destroy()


def settled(cloud: Cloud, wish: int) -> None:
    """Assert that there are as many machines as wished, each ordered once."""
    books = cloud.emulator.books()
    alive = [one for one in books["instances"] if one["state"] in ("pending", "running")]
    assert len(alive) == wish, alive
    tokens = [order["token"] for order in books["orders"]]
    assert len(tokens) == len(set(tokens))
    names = [(one["tags"]["muster:group"], one["tags"]["muster:numbers"], one["index"]) for one in alive]
    assert len(names) == len(set(names)), names


def again(step: Callable[[], object]) -> None:
    """Run a step, once more when the process was killed in it."""
    try:
        step()
    except (KilledError, MusterError):
        step()


def test_create_grow_shrink_destroy(cloud: Cloud) -> None:
    for step, wish in zip(journey(cloud), (2, 3, 2, 0), strict=True):
        step()
        settled(cloud, wish)
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


@pytest.mark.parametrize(
    ("action", "after"),
    [
        pytest.param(
            action,
            after,
            marks=() if (action, after) in USUAL else pytest.mark.long,
            id=f"{'after' if after else 'before'} {action}",
        )
        for action in CHANGING
        for after in (False, True)
    ],
)
def test_killed_around_a_call(cloud: Cloud, killer: Killer, action: str, after: bool) -> None:
    cloud.emulator.set(invisible_s=0.2)
    killer.arm(lambda name: name == action, after=after)
    for step, wish in zip(journey(cloud), (2, 3, 2, 0), strict=True):
        again(step)
        settled(cloud, wish)
    assert killer.left <= 0, "never came so far"
    assert cloud.emulator.left_over() == []


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_around_every_call(cloud: Cloud, killer: Killer, after: bool) -> None:
    number, runs = 1, 0
    while True:
        cloud.emulator.reset()
        killer.arm(lambda _: True, after=after, number=number)
        for step, wish in zip(journey(cloud), (2, 3, 2, 0), strict=True):
            again(step)
            settled(cloud, wish)
        assert cloud.emulator.left_over() == []
        runs += 1
        if killer.left > 0:
            break
        number += 1
    assert runs > 50


@pytest.mark.parametrize("kind", ["drop-after", "500-after", "drop-before"])
def test_destroyed_after_an_order_without_an_answer(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("provision.providers.ec2.provider.SETTLING_S", 3)
    cloud.emulator.set(invisible_s=1)
    cloud.emulator.fault("RunInstances", kind, skip=1)
    with pytest.raises(MusterError):
        cloud.cluster(2).ensure()
    cloud.cluster(2).destroy()
    assert cloud.emulator.left_over() == []


def test_no_room_for_one_group_keeps_the_others(cloud: Cloud) -> None:
    cloud.emulator.room({"t3.small/*/*": 0})
    with pytest.raises(NoCapacity, match="stay"):
        cloud.cluster(2).ensure()
    settled(cloud, 1)
    cloud.emulator.room({"t3.small/*/*": 5})
    cloud.cluster(2).ensure()
    settled(cloud, 2)
    cloud.cluster(2).destroy()


def test_two_clusters_of_one_name_do_not_meet(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.cluster(2).ensure()
    monkeypatch.setenv("MUSTER_STATE", str(cloud.folder / "elsewhere"))
    other: Cluster = cloud.cluster(2)
    other.ensure()
    other.destroy()
    settled(cloud, 2)
    monkeypatch.setenv("MUSTER_STATE", str(cloud.folder / "state"))
    cloud.cluster(2).destroy()
    assert cloud.emulator.left_over() == []


def test_a_changed_type_or_region_loses_no_machine(cloud: Cloud) -> None:
    cloud.cluster(2).ensure()
    larger: dict[str, Any] = {"worker": {"instance_type": ["t3.large", "t3.xlarge"], "data_disk_gb": 10}}
    with pytest.raises(PlanRefused, match=r"worker-1: .* \(t3.small, not t3.large or t3.xlarge\)"):
        cloud.cluster(3, groups=larger).ensure(wish=3)
    with pytest.raises(PlanRefused, match=r"master: .* \(in eu-west-1, not eu-central-1\)"):
        cloud.cluster(3, ec2={"region": "eu-central-1"}).ensure(wish=3)
    settled(cloud, 2)
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
