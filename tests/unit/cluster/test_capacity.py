"""Waiting for room: how long, what is said meanwhile, and what is left when there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provision.cluster import capacity
from provision.cluster.capacity import capacity_wait, retry_until_capacity
from provision.cluster.run import Run
from provision.core.errors import NoCapacity
from provision.core.model import ClusterIdentity, Machine, Price
from provision.core.spec import Duration, NodeGroup
from provision.state.folder import State
from tests.fakes import provider
from tests.fakes.provider import FakeProvider, FakeReach, FakeStores, SilentReporter, World, machine


class Paid(FakeProvider):
    def price(self, group: NodeGroup) -> Price:
        return Price(0.25, "a test")


def retried(
    reporter: SilentReporter,
    order: Callable[[], list[Machine]],
    seconds: float,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[str], bool] = lambda _: False,
) -> list[Machine]:
    """Order a third machine, waiting for room for so many seconds."""
    monkeypatch.setattr(capacity, "capacity_wait", lambda _: seconds)
    spec, world = provider.spec(), World()
    up = [machine("retina-master"), machine("retina-worker-1")]
    run = Run(
        spec=spec,
        state=State(Path("/none/retina")),
        identity=ClusterIdentity("retina", "0123abcd"),
        provider=lambda _: Paid(world, spec),
        reporter=reporter,
        reach=FakeReach(world),
        stores=FakeStores(world),
        guard=lambda: None,
    )
    return retry_until_capacity(run, order, "retina-worker-2", lambda: up, ask=ask, first_s=0.01)


def full(times: int) -> Callable[[], list[Machine]]:
    """An order that finds no room the first `times` times."""
    left = [times]

    def order() -> list[Machine]:
        left[0] -= 1
        if left[0] >= 0:
            raise NoCapacity(
                provider="ec2", where="retina-worker-2", what="no room", remedy="Name more types"
            )
        return [machine("retina-worker-2")]

    return order


def test_without_waiting_the_first_refusal_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = SilentReporter()
    with pytest.raises(NoCapacity, match=r"no room.*Name more types.*stay"):
        retried(reporter, full(1), 0, monkeypatch)
    assert reporter.lines == []


def test_it_is_tried_again_and_the_bill_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = SilentReporter()
    assert retried(reporter, full(3), 60, monkeypatch)[0].name == "retina-worker-2"
    assert len(reporter.lines) == 3
    assert "waiting for room since 0 s" in reporter.lines[0]
    assert "2 machine(s) already up cost $0.50 an hour" in reporter.lines[0]


def test_when_time_is_up_machines_stay_and_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoCapacity, match=r"cost \$0\.50 an hour.*stay; run the same command again"):
        retried(SilentReporter(), full(1000), 0.05, monkeypatch)


def test_somebody_at_a_terminal_may_go_on_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return len(asked) < 3

    with pytest.raises(NoCapacity):
        retried(SilentReporter(), full(10000), 0.02, monkeypatch, ask)
    assert len(asked) == 3 and "cost $0.50 an hour" in asked[0] and "as long again" in asked[0]


@pytest.mark.parametrize(("text", "seconds"), [("", 0), ("90m", 5400), ("2h", 7200)])
def test_the_config_says_how_long(text: str, seconds: float) -> None:
    spec = replace(provider.spec(), wait_for_capacity=Duration(text))
    assert capacity_wait(spec) == seconds


def test_an_order_without_room_is_not_open_any_more(tmp_path: Path, monkeypatch: Any) -> None:
    """The machines of other groups stay; the same command orders the missing ones anew."""
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    world = World()
    world.refuse_create = NoCapacity(provider="local", what="no room")
    cluster = provider.cluster(world, tmp_path)
    with pytest.raises(NoCapacity):
        cluster.ensure()
    assert cluster.state.journal.read().intents == {}
    world.refuse_create = None
    provider.cluster(world, tmp_path).ensure()
    assert world.names() == ["retina-master", "retina-worker-1", "retina-worker-2"]
