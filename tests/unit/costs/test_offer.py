"""What a plan costs, and that nothing beyond the budget is ever ordered."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.cluster.cluster import Cluster
from provision.core.errors import PlanRefused, ProviderError
from provision.core.model import Price
from provision.core.spec import Budget
from provision.costs import offer
from tests.fakes.provider import FakeProvider, World, cluster


@pytest.fixture
def paid(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(hourly=0.5)


def limited(world: World, root: Path, nodes: int, limit: float | None) -> Cluster:
    return cluster(world, root, nodes, budget=Budget(max_hourly=limit))


def test_what_would_be_done_and_what_it_costs(paid: World, tmp_path: Path) -> None:
    cluster(paid, tmp_path, 2).ensure()
    found = limited(paid, tmp_path, 4, 2.0).view.offer()
    assert found.hourly == 2.0 and not found.plan.refuse
    workers = next(line for line in found.lines if line.group == "worker")
    assert workers.create == ("retina-worker-2", "retina-worker-3") and workers.keep == ("retina-worker-1",)
    said = "\n".join(offer.lines(found))
    assert "would create retina-worker-2, retina-worker-3 (2 cores, 2 GiB, local)" in said
    assert "$2.00 an hour, $1460.00 a month of 730 h" in said and "budget.max_hourly is $2.00" in said
    assert "worker: a fair price" in said
    shown = offer.as_json("retina", found)
    assert (shown["hourly"], shown["monthly"], shown["changes"]) == (2.0, 1460.0, True)


def test_beyond_the_budget_nothing_is_ordered(paid: World, tmp_path: Path) -> None:
    refused = limited(paid, tmp_path, 3, 1.2)
    assert "$1.50 an hour, more than budget.max_hourly $1.20" in refused.view.offer().plan.refuse[0]
    with pytest.raises(PlanRefused, match="retina: the cluster would cost .1.50 an hour"):
        refused.ensure()
    assert not paid.orders
    assert list(tmp_path.iterdir()) == []
    limited(paid, tmp_path, 2, 1.2).ensure()
    with pytest.raises(PlanRefused):
        limited(paid, tmp_path, 3, 1.2).ensure()
    assert paid.orders == ["retina-master", "retina-worker-1"]


def test_a_lower_budget_does_not_end_what_is_there(paid: World, tmp_path: Path) -> None:
    cluster(paid, tmp_path, 3).ensure()
    assert not limited(paid, tmp_path, 3, 0.1).ensure().changed
    limited(paid, tmp_path, 2, 0.1).ensure(scale_in=True)
    assert paid.names() == ["retina-master", "retina-worker-1"]


def test_an_unknown_price_is_no_reason_to_order_with_a_budget(
    paid: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(self: FakeProvider, group: object) -> Price | None:
        return None if getattr(group, "name", "") == "worker" else Price(0.5, "list")

    monkeypatch.setattr(FakeProvider, "price", known)
    with pytest.raises(PlanRefused, match="what a machine of worker costs is not known"):
        limited(paid, tmp_path, 2, 9.0).ensure()
    found = limited(paid, tmp_path, 2, None).view.offer()
    assert found.unknown == ("worker",) and "at least $0.50 an hour" in "\n".join(offer.lines(found))
    limited(paid, tmp_path, 2, None).ensure()


def test_a_budget_in_all_cannot_end_what_has_no_price(
    paid: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise ProviderError(provider="local", where="prices", what="the API is out of reach", remedy="Later")

    ends = cluster(paid, tmp_path, 2, budget=Budget(total=20.0))
    monkeypatch.setattr(FakeProvider, "price", asked)
    with pytest.raises(PlanRefused, match="a machine of master, worker costs is not known, so budget.total"):
        ends.ensure()
    assert not paid.orders
    monkeypatch.undo()
    ends.ensure()
    monkeypatch.setattr(FakeProvider, "price", asked)
    assert not ends.ensure().changed, "what is there has its end already"


def test_a_price_that_is_not_known_at_all_is_not_called_free(
    paid: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeProvider, "price", lambda *_: None)
    said = offer.lines(limited(paid, tmp_path, 2, None).view.offer())
    assert "what it costs is not known" in said
    assert "free" not in "\n".join(said)


def test_what_nobody_pays_for_is_free(tmp_path: Path) -> None:
    found = limited(World(), tmp_path, 2, 0.01).view.offer()
    assert found.hourly == 0 and not found.plan.refuse
    assert "free" in "\n".join(offer.lines(found))
