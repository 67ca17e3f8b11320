"""What machines cost, from the records of journals; nothing that was paid is forgotten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provision.core.errors import ProviderError, StateError
from provision.core.model import NodeState
from provision.costs import ledger
from provision.costs.accounts import Account, Bill, Tally, read_accounts
from provision.state.journal import Journal
from tests.fakes.provider import FakeProvider, World, cluster

HOUR = 3600.0


def bill(
    since: float, hourly: float | None = 0.5, *, stopped: bool = False, machine: str = "i-1"
) -> dict[str, Any]:
    return Bill(machine, f"retina-{machine}", "worker", "ec2", hourly, "list", since, stopped).record()


def total(records: list[dict[str, Any]], now: float) -> Tally:
    return sum((account.tally(now) for account in read_accounts(records).values()), Tally())


def test_a_machine_costs_from_its_making_to_its_end() -> None:
    records = [{"kind": "done", "token": "t", "machines": {"a": "i-1"}, "bills": [bill(0)], "at": 9}]
    assert total(records, 2 * HOUR) == Tally(1, 2.0, 1.0, 0.0)
    records.append({"kind": "ended", "machines": ["i-1"], "at": 3 * HOUR})
    assert total(records, 9 * HOUR) == Tally(1, 3.0, 1.5, 0.0)


def test_a_stopped_machine_costs_what_it_costs_stopped() -> None:
    bills = [bill(0), bill(HOUR, 0.1, stopped=True), bill(3 * HOUR)]
    records = [{"kind": "bill", "bills": [one], "at": one["since"]} for one in bills]
    assert total(records, 4 * HOUR).dollars == pytest.approx(0.5 + 0.2 + 0.5)


def test_a_deleted_machine_ends_when_its_deletion_was_confirmed() -> None:
    records = [
        {"kind": "bill", "bills": [bill(0), bill(0, machine="i-2")], "at": 0},
        {
            "kind": "open",
            "token": "d",
            "verb": "delete",
            "provider": "ec2",
            "names": ["retina-i-2"],
            "at": HOUR,
        },
        {"kind": "close", "token": "d", "at": 2 * HOUR},
    ]
    assert total(records, 4 * HOUR).hours == 6.0


def test_records_of_older_versions_have_no_price() -> None:
    records = [
        {
            "kind": "open",
            "token": "t",
            "verb": "create",
            "provider": "ec2",
            "names": ["retina-master"],
            "at": 0,
        },
        {"kind": "done", "token": "t", "machines": {"retina-master": "i-1"}, "at": 0},
    ]
    assert total(records, HOUR) == Tally(1, 1.0, 0.0, 1.0)
    assert read_accounts(records)["i-1"].last.provider == "ec2"


def test_a_machine_that_was_not_listed_for_a_while_costs_all_the_same() -> None:
    records = [
        {"kind": "bill", "bills": [bill(0)], "at": 0},
        {"kind": "ended", "machines": ["i-1"], "at": HOUR},
        {"kind": "bill", "bills": [bill(HOUR)], "at": 2 * HOUR},
    ]
    assert total(records, 3 * HOUR).hours == 3.0


@pytest.fixture
def paid(world: World) -> World:
    world.hourly = 0.5
    return world


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World()


def accounts(journal: Journal) -> dict[str, Account]:
    return read_accounts(journal.records())


def test_the_journal_follows_what_the_provider_lists(paid: World, tmp_path: Path) -> None:
    cluster(paid, tmp_path, 3).ensure()
    made = cluster(paid, tmp_path, 3)
    assert {account.last.hourly for account in accounts(made.state.journal).values()} == {0.5}
    assert all(machine.labels["price"] == "0.5" for machine in paid.machines.values())
    stopped = next(machine for machine in paid.machines.values() if machine.name == "retina-worker-2")
    paid.machines[stopped.provider_id] = replace(stopped, state=NodeState.STOPPED)
    vanished = next(machine for machine in paid.machines.values() if machine.name == "retina-worker-1")
    del paid.machines[vanished.provider_id]
    cluster(paid, tmp_path, 3).ensure()
    found = accounts(made.state.journal)
    assert [one.stopped for one in found[stopped.provider_id].bills] == [False, True, False]
    assert found[vanished.provider_id].ended is not None
    assert sum(account.ended is None for account in found.values()) == 3


def test_what_a_destroyed_cluster_has_cost_stays_known(paid: World, tmp_path: Path) -> None:
    one = cluster(paid, tmp_path, 3)
    one.ensure()
    identity = one.view.identity
    one.destroy()
    (entry,) = ledger.read(one.state.parent)
    assert (entry.cluster, entry.id, entry.tally.machines) == ("retina", identity.id, 3)
    assert entry.tally.unknown_hours == 0


def test_nobody_remembers_what_was_free(world: World, tmp_path: Path) -> None:
    one = cluster(world, tmp_path, 2)
    one.ensure()
    assert {account.last.hourly for account in accounts(one.state.journal).values()} == {0.0}
    one.destroy()
    assert list(tmp_path.iterdir()) == []


def test_a_price_that_cannot_be_asked_stops_nothing(
    paid: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> None:
        raise ProviderError(provider="local", what="no answer")

    monkeypatch.setattr(FakeProvider, "price", silent)
    one = cluster(paid, tmp_path, 2)
    one.ensure()
    assert {account.last.hourly for account in accounts(one.state.journal).values()} == {None}


def test_ledger(tmp_path: Path) -> None:
    entry = ledger.Entry("retina", "0123abcd", 0.0, HOUR, ("ec2",), Tally(3, 3.0, 1.5))
    ledger.append(tmp_path, entry)
    with (tmp_path / ledger.FILE).open("ab") as stream:
        stream.write(b'{"cluster": "ret')
    assert ledger.read(tmp_path) == [entry]
    ledger.append(tmp_path, replace(entry, id="4567abcd"))
    ledger.append(tmp_path, replace(entry, ended=2 * HOUR))
    assert [(one.id, one.ended) for one in ledger.read(tmp_path)] == [
        ("0123abcd", 2 * HOUR),
        ("4567abcd", HOUR),
    ]
    (tmp_path / ledger.FILE).write_text(json.dumps({"format": 2}) + "\n")
    with pytest.raises(StateError, match="line 1: this line cannot be read"):
        ledger.read(tmp_path)
