"""What reap takes: what is past its deadline, and what this clone has lost sight of; never anybody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from provision.core.errors import ProviderError
from provision.core.model import ClusterIdentity, Machine, NodeState
from provision.core.spec import ClusterSpec
from provision.fleet import reap
from provision.fleet.overview import look
from provision.providers.base import Provider
from provision.providers.facts import Deadlines, facts_of
from provision.state.folder import State
from tests.fakes.provider import FakeProvider, World, cluster, group, machine, spec

NOW = 1_800_000_000.0
MINE, OTHERS = "mine", "others"


class Lists(FakeProvider):
    """Lists these machines, whatever else there is."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        super().__init__(World(), spec())
        self.listed = list(machines)

    def everything(self) -> list[Machine]:
        return self.listed


def found(name: str, identity: str, *, owner: str = OTHERS, deadline: str = "", **more) -> Machine:
    labels = {"cluster": name, "cluster_id": identity, "owner": owner}
    labels |= {"deadline": deadline} if deadline else {}
    made = machine(f"{name}-master", id=f"i-{name}-{more.pop('number', 1)}", **more)
    return replace(made, labels=labels)


def chosen(*machines: Machine, known: tuple[str, ...] = ()) -> dict[str, str]:
    seen = look([spec()], Path("/none"), load=lambda *_: Lists(machines)).clusters
    clusters = [replace(each, here=each.id in known) for each in seen]
    return {each.cluster.id: each.why for each in reap.choose(clusters, mark=MINE, now=NOW)}


def test_past_the_deadline_goes_whosever_it_is() -> None:
    over, later = str(int(NOW - 1)), str(int(NOW + 60))
    assert chosen(
        found("a", "1", deadline=over),
        found("b", "2", deadline=over, owner=MINE),
        found("c", "3", deadline=later),
        found("d", "4", deadline="0"),
        found("e", "5", deadline="soon"),
        known=("2", "3"),
    ) == {"1": reap.PAST_DEADLINE, "2": reap.PAST_DEADLINE}


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
    machine = found("a", "1", deadline=str(int(NOW - 1)))
    assert not chosen(replace(machine, labels={**machine.labels, "mine": "no"}))


def test_two_clusters_of_one_name_are_two() -> None:
    over = str(int(NOW - 1))
    assert chosen(found("a", "1", deadline=over), found("a", "2", number=2)) == {"1": reap.PAST_DEADLINE}


def test_a_cluster_whose_state_was_lost_is_found_and_deleted(tmp_path: Path) -> None:
    world = World()
    cluster(world, tmp_path).ensure()
    known = cluster(world, tmp_path).view.identity
    mark = next(iter(world.machines.values())).labels["owner"]
    provider = FakeProvider(world, spec())
    (seen,) = look([spec()], tmp_path / "none", load=lambda *_: provider).clusters
    assert reap.choose([replace(seen, here=True)], mark=mark, now=NOW) == []
    (orphan,) = reap.choose([seen], mark=mark, now=NOW)
    assert (orphan.why, orphan.cluster, len(orphan.machines)) == (reap.ORPHANED, known, 3)
    reap.delete_machines(orphan)
    assert world.machines == {}


def test_what_does_not_go_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stubborn(FakeProvider):
        def delete(self, cluster, machines):
            pass

        def list(self, cluster):
            return [machine("a-master")]

    expired = reap.Expired(
        Stubborn(World(), spec()), ClusterIdentity("a", "1"), (machine("a-master"),), reap.PAST_DEADLINE, 1.0
    )
    monkeypatch.setattr(facts_of("local"), "deadlines", Deadlines(boot=60, gone=0.0))
    with pytest.raises(ProviderError, match="a-master: not all are gone 0 s after deleting"):
        reap.delete_machines(expired)


def test_only_an_account_that_may_have_a_cluster_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The config asked for, and those with a state here; nobody has to sign in where no cluster ever was."""
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path))

    def silent(name: str, config: ClusterSpec, _notes: Path) -> Provider:
        raise ProviderError(provider=name, what="no credentials")

    def at(provider: str, name: str) -> ClusterSpec:
        groups = (group("master", 1, provider=provider),)
        return replace(spec(), name=name, provider=provider, groups=groups, path=tmp_path / f"{name}.yml")

    state = State(tmp_path / "used")
    state.begin(state.new_identity())
    configs = [at("local", "given"), at("ec2", "unused"), at("softlayer", "used"), at("existing", "hosts")]
    search = reap.find(configs, tmp_path, now=NOW, load=silent)
    assert [account.provider for account in search.not_asked] == ["local", "ec2", "softlayer"]
    assert [account.provider for account in search.missed] == ["local", "softlayer"]
