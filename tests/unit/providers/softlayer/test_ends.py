"""Nothing bills after the end: with the opt-in the account's own books say so, without it the user is told."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from muster_node import last_calls as program
from provision.cluster.ends import ending_words
from provision.core.wait import until
from provision.providers.facts import to_cancel
from provision.providers.softlayer import last_calls
from tests.emulators.softlayer.server import API_KEY, USERNAME
from tests.fakes.softlayer import Account


@pytest.fixture
def node_program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(program, "PAUSE_S", 0.01)
    return program


def test_the_master_cancels_all_of_its_cluster_and_nothing_else(
    account: Account, node_program: ModuleType, tmp_path: Path
) -> None:
    mine = account.cluster(3, ttl="8h", softlayer={"self_cancel": True})
    mine.ensure()
    account.provider().create(account.request(token="e" * 16))  # somebody else's
    guests = to_cancel(mine.spec, [node.machine for node in mine.view.nodes], "master")["softlayer"]
    assert [account.books.guests[int(guest)].template["hostname"] for guest in guests] == [
        "retina-worker-1",
        "retina-worker-2",
        "retina-master",
    ]
    calls = tmp_path / "calls.json"
    calls.write_text(json.dumps(last_calls.requests(guests, USERNAME, API_KEY)))
    assert node_program.main(calls) == 0
    assert until(lambda: not mine.view.nodes, deadline_s=5, interval_s=0.02), "a guest bills on"
    assert len(account.provider().everything()) == 1


def test_without_it_the_warning_is_printed(account: Account) -> None:
    cluster = account.cluster(1, ttl="8h")
    cluster.ensure()
    assert to_cancel(cluster.spec, [node.machine for node in cluster.view.nodes], "master") == {}
    words = "\n".join(ending_words(cluster.spec, cluster.view.deadline))
    assert "machines on softlayer power off but BILL ON until `./muster reap` cancels them" in words
