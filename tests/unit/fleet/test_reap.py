"""What reap takes: what is past its deadline, and what this clone has lost sight of; never anybody else's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provision.core.errors import ProviderError
from provision.core.model import ClusterIdentity, Machine, NodeState
from provision.fleet import reap
from tests.fakes.provider import FakeProvider, World, cluster, machine, spec

NOW = 1_800_000_000.0
MINE, OTHERS = "mine", "others"


def found(
    name: str, identity: str, *, owner: str = OTHERS, deadline: str = "", **more
) -> tuple[str, Machine]:
    labels = {"cluster": name, "cluster_id": identity, "owner": owner}
    labels |= {"deadline": deadline} if deadline else {}
    made = machine(f"{name}-master", id=f"i-{name}-{more.pop('number', 1)}", **more)
    return "local", replace(made, labels=labels)


def chosen(*machines: tuple[str, Machine], known: tuple[str, ...] = ()) -> dict[str, str]:
    return {each.cluster.id: each.why for each in reap.choose(machines, known=known, mark=MINE, now=NOW)}


def test_past_the_deadline_goes_whosever_it_is() -> None:
    over, later = str(int(NOW - 1)), str(int(NOW + 60))
    assert chosen(
        found("a", "1", deadline=over),
        found("b", "2", deadline=over, owner=MINE),
        found("c", "3", deadline=later),
        found("d", "4", deadline="0"),
        found("e", "5", deadline="soon"),
        known=("2", "3"),
    ) == {"1": reap.EXPIRED, "2": reap.EXPIRED}


def test_a_cluster_without_a_state_goes_only_when_this_clone_made_it() -> None:
    assert chosen(
        found("mine", "1", owner=MINE), found("known", "2", owner=MINE), found("theirs", "3"), known=("2",)
    ) == {"1": reap.ORPHANED}


def test_half_extended_or_half_ours_stays() -> None:
    over, later = str(int(NOW - 1)), str(int(NOW + 60))
    assert not chosen(found("a", "1", deadline=over), found("a", "1", number=2, deadline=later))
    assert not chosen(found("a", "1", owner=MINE), found("a", "1", number=2))
    assert not chosen(found("a", "1", owner=MINE, state=NodeState.GONE))


def test_what_another_user_alone_can_delete_is_left_to_them() -> None:
    provider, machine = found("a", "1", deadline=str(int(NOW - 1)))
    assert not chosen((provider, replace(machine, labels={**machine.labels, "mine": "no"})))


def test_two_clusters_of_one_name_are_two() -> None:
    over = str(int(NOW - 1))
    assert chosen(found("a", "1", deadline=over), found("a", "2", number=2)) == {"1": reap.EXPIRED}


def test_a_cluster_whose_state_was_lost_is_found_and_deleted(tmp_path: Path) -> None:
    world = World()
    cluster(world, tmp_path).ensure()
    known = cluster(world, tmp_path).view.identity
    mark = next(iter(world.machines.values())).labels["owner"]
    provider = FakeProvider(world, spec())
    listed = [("local", each) for each in provider.everything()]
    assert reap.choose(listed, known=[known.id], mark=mark, now=NOW) == []
    (doomed,) = reap.choose(listed, known=[], mark=mark, now=NOW)
    assert (doomed.why, doomed.cluster, len(doomed.machines)) == (reap.ORPHANED, known, 3)
    reap.delete(doomed, provider)
    assert world.machines == {}


def test_what_does_not_go_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stubborn(FakeProvider):
        def delete(self, cluster, machines):
            pass

        def list(self, cluster):
            return [each.machines[0]]

    each = reap.Doomed("local", ClusterIdentity("a", "1"), (machine("a-master"),), reap.EXPIRED, 1.0)
    monkeypatch.setitem(reap.DEADLINES, "local", replace(reap.DEADLINES["local"], gone=0.0))
    with pytest.raises(ProviderError, match="a-master: not all are gone 0 s after deleting"):
        reap.delete(each, Stubborn(World(), spec()))
