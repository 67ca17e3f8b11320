"""Kill the process at every single moment of create, scale and destroy; the same command again must converge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from provision.cluster import decommission
from provision.core.errors import (
    ConfigError,
    MusterError,
    NotReady,
    OutcomeUnknown,
    PlanRefused,
    ProviderError,
    Unreachable,
)
from provision.core.model import Machine, NodeState
from provision.core.spec import ClusterSpec, DatasetSpec, Duration, Scale
from provision.providers.facts import Deadlines, facts_of
from tests.fakes.provider import FakeProvider, KilledError, World, cluster, make_disk_mortal, spec

Three = ["retina-master", "retina-worker-1", "retina-worker-2"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    make_disk_mortal(monkeypatch, world.clock)
    monkeypatch.setattr(facts_of("local"), "deadlines", Deadlines(boot=60, gone=0.0))
    monkeypatch.setattr(decommission, "LOOK_EVERY_S", 0.0)
    return world


def moments(
    prepare: Callable[[World, Path], None], act: Callable[[World, Path], object], tmp_path: Path, world: World
) -> Iterator[int]:
    """Yield after each kill, at every moment of `act`, with the world as the kill left it."""
    for moment in range(1, 2000):
        root = tmp_path / str(moment)
        root.mkdir()
        fresh = World()
        world.__dict__.update({k: v for k, v in fresh.__dict__.items() if k != "clock"})
        world.clock.restart()
        prepare(world, root)
        world.clock.restart(kill_at=moment)
        try:
            act(world, root)
        except KilledError:
            world.clock.restart()
            yield moment
        else:
            assert moment > 12, "the kills covered next to nothing"
            return
    raise AssertionError("it never ended")


def settled(world: World, names: list[str], root: Path) -> None:
    """Everything that should exist does, once, and everything is trusted and closed."""
    assert world.names() == sorted(names)
    assert not world.has_bootstrap, "a bootstrap key was left on a machine"
    view = cluster(world, root).state.journal.read()
    assert not view.intents
    requests = cluster(world, root).state.folder / "requests"
    assert not list(requests.iterdir()), "a request with a bootstrap key was left"


def up(nodes: int, **more: bool) -> Callable[[World, Path], object]:
    return lambda world, root: cluster(world, root, nodes).ensure(**more)


def test_create(world: World, tmp_path: Path) -> None:
    for moment in moments(lambda *_: None, up(3), tmp_path, world):
        root = tmp_path / str(moment)
        cluster(world, root).ensure()
        settled(world, Three, root)
        assert sorted(world.orders) == Three, "something was ordered twice"
        assert not cluster(world, root).ensure().changed


def test_create_killed_then_destroyed(world: World, tmp_path: Path) -> None:
    for moment in moments(lambda *_: None, up(3), tmp_path, world):
        root = tmp_path / str(moment)
        cluster(world, root).destroy()
        gone(world, root)


def test_create_killed_twice(world: World, tmp_path: Path) -> None:
    for moment in moments(lambda *_: None, up(2), tmp_path, world):
        root = tmp_path / str(moment)
        for again in (5, 17):
            world.clock.restart(kill_at=again)
            with suppress(KilledError):
                cluster(world, root, 2).ensure()
        world.clock.restart()
        cluster(world, root, 2).ensure()
        settled(world, Three[:2], root)
        assert sorted(world.orders) == Three[:2]


def test_scale_out(world: World, tmp_path: Path) -> None:
    five = [*Three, "retina-worker-3", "retina-worker-4"]
    for moment in moments(lambda w, r: up(3)(w, r) and None, up(5), tmp_path, world):
        root = tmp_path / str(moment)
        cluster(world, root, 5).ensure()
        settled(world, five, root)
        assert sorted(world.orders) == five


def test_scale_in(world: World, tmp_path: Path) -> None:
    for moment in moments(lambda w, r: up(4)(w, r) and None, up(2, scale_in=True), tmp_path, world):
        root = tmp_path / str(moment)
        cluster(world, root, 2).ensure(scale_in=True)
        settled(world, Three[:2], root)


def test_reshape_and_scale_out(world: World, tmp_path: Path) -> None:
    """Killed at every moment: no machine is lost or made anew, and all have what was wished in the end."""
    larger = Scale(cores=4, memory_gb=8.0)

    def wished(root: Path, nodes: int = 3) -> ClusterSpec:
        return spec(nodes, path=root / "retina.yml").scaled(larger)

    def act(world: World, root: Path) -> object:
        return cluster(world, root, config=wished(root)).ensure()

    for moment in moments(lambda w, r: up(2)(w, r) and None, act, tmp_path, world):
        root = tmp_path / str(moment)
        ids = {name: machine.provider_id for name, machine in by_name(world).items()}
        act(world, root)
        settled(world, Three, root)
        assert sorted(world.orders) == Three, "a machine was made anew"
        for name, machine in by_name(world).items():
            assert ids.get(name, machine.provider_id) == machine.provider_id
            assert machine.state is NodeState.RUNNING, name
            assert (machine.labels["cores"], machine.labels["memory_gb"]) == ("4", "8"), name
        assert not cluster(world, root).ensure().changed, "the wish was not remembered"


def by_name(world: World) -> dict[str, Machine]:
    return {machine.name: machine for machine in world.machines.values()}


def gone(world: World, root: Path) -> None:
    assert world.names() == []
    assert not any(world.users_of_store.values()), "the store is still attached"
    assert list(root.iterdir()) == [], "something was left in the state folder"


def test_destroy(world: World, tmp_path: Path) -> None:
    for moment in moments(
        lambda w, r: up(3)(w, r) and None, lambda w, r: cluster(w, r).destroy(), tmp_path, world
    ):
        root = tmp_path / str(moment)
        cluster(world, root).destroy()
        gone(world, root)


def test_destroy_killed_then_started(world: World, tmp_path: Path) -> None:
    for moment in moments(
        lambda w, r: up(3)(w, r) and None, lambda w, r: cluster(w, r).destroy(), tmp_path, world
    ):
        root = tmp_path / str(moment)
        cluster(world, root).ensure()
        settled(world, Three, root)


class LosesReplies(FakeProvider):
    """Carries out the first create call and then loses the reply."""

    def create(self, request):
        first = not self.world.orders
        made = super().create(request)
        if first:
            raise OutcomeUnknown(provider="local", what="no reply", remedy="Run the same command again")
        return made


def test_lost_reply(world: World, tmp_path: Path) -> None:
    broken = cluster(world, tmp_path, provider=LosesReplies)
    with pytest.raises(OutcomeUnknown, match="no reply. Run the same command again"):
        broken.ensure()
    cluster(world, tmp_path).ensure()
    settled(world, Three, tmp_path)
    assert sorted(world.orders) == Three


@pytest.mark.parametrize(
    "refusal", [ProviderError(provider="local", what="no memory"), NotReady(what="no memory")]
)
def test_refused_order_is_given_up(world: World, tmp_path: Path, refusal: MusterError) -> None:
    world.refuse_create = refusal
    for _ in range(2):  # again: the order is repeated, refused, given up, and made anew
        with pytest.raises(type(refusal), match="no memory"):
            cluster(world, tmp_path, 3).ensure()
    world.refuse_create = None
    cluster(world, tmp_path, 1).ensure()
    settled(world, Three[:1], tmp_path)


def test_refusal_leaves_nothing(world: World, tmp_path: Path) -> None:
    class NotToday(FakeProvider):
        def check_ready(self, spec, plan):
            raise ProviderError(provider="local", what="not today")

    refused = cluster(world, tmp_path, provider=NotToday)
    with pytest.raises(ProviderError):
        refused.ensure()
    assert list(tmp_path.iterdir()) == []


def test_missing_data_set_is_refused_before_anything_is_made(world: World, tmp_path: Path) -> None:
    config = replace(spec(), dataset=DatasetSpec(source=str(tmp_path / "none"), name="eyes"))
    refused = cluster(world, tmp_path, config=config)
    with pytest.raises(ConfigError, match="dataset.source: there is no folder"):
        refused.ensure()
    assert list(tmp_path.iterdir()) == []
    assert "check_ready" not in world.clock.seen
    refused.destroy()


def test_unreachable_worker_does_not_stop_the_others(world: World, tmp_path: Path) -> None:
    world.unreachable = {"retina-worker-1"}
    with pytest.raises(Unreachable, match="^retina-worker-1: "):
        cluster(world, tmp_path).ensure()
    assert {world.machines[i].name for i in world.has_bootstrap} == {"retina-worker-1"}
    world.unreachable = set()
    cluster(world, tmp_path).ensure()
    settled(world, Three, tmp_path)


def test_smaller_size_needs_a_word(world: World, tmp_path: Path) -> None:
    cluster(world, tmp_path, 3).ensure()
    with pytest.raises(
        PlanRefused, match="retina: 2 node.s. wished: retina-worker-2 would be deleted.*SCALE_IN=true"
    ):
        cluster(world, tmp_path, 2).ensure()
    assert world.names() == Three
    assert cluster(world, tmp_path, 2).view.wish == 3


def test_wish_is_remembered(world: World, tmp_path: Path) -> None:
    cluster(world, tmp_path, 2).ensure()
    cluster(world, tmp_path, 3, given=False).ensure()
    assert world.names() == Three[:2]


def test_stop(world: World, tmp_path: Path) -> None:
    for moment in moments(
        lambda w, r: up(3)(w, r) and None, lambda w, r: cluster(w, r).stop(force=True), tmp_path, world
    ):
        root = tmp_path / str(moment)
        cluster(world, root).stop(force=True)
        assert {m.state for m in world.machines.values()} == {NodeState.STOPPED}
        assert not any(world.users_of_store.values()), "the store is still attached"
        settled(world, Three, root)


def test_stop_killed_then_started(world: World, tmp_path: Path) -> None:
    for moment in moments(
        lambda w, r: up(3)(w, r) and None, lambda w, r: cluster(w, r).stop(force=True), tmp_path, world
    ):
        root = tmp_path / str(moment)
        cluster(world, root).ensure()
        assert {m.state for m in world.machines.values()} == {NodeState.RUNNING}
        settled(world, Three, root)
        assert sorted(world.orders) == Three


def test_start_of_a_stopped_cluster(world: World, tmp_path: Path) -> None:
    def stopped(world: World, root: Path) -> None:
        cluster(world, root, ttl=Duration("8h")).ensure()
        cluster(world, root, ttl=Duration("8h")).stop(force=True)
        world.armed.clear()

    for moment in moments(stopped, lambda w, r: cluster(w, r, ttl=Duration("8h")).ensure(), tmp_path, world):
        root = tmp_path / str(moment)
        cluster(world, root, ttl=Duration("8h")).ensure()
        settled(world, Three, root)
        deadline = str(int(cluster(world, root).view.deadline))
        assert world.armed == dict.fromkeys(Three, deadline), "a machine knows another deadline, or none"
        assert {m.labels["deadline"] for m in world.machines.values()} == {deadline}


def test_extend(world: World, tmp_path: Path) -> None:
    before: dict[str, float] = {}

    def started(world: World, root: Path) -> None:
        cluster(world, root, ttl=Duration("8h")).ensure()
        before["deadline"] = cluster(world, root).view.deadline

    for moment in moments(
        started, lambda w, r: cluster(w, r, ttl=Duration("8h")).extend("4h"), tmp_path, world
    ):
        root = tmp_path / str(moment)
        cluster(world, root, ttl=Duration("8h")).extend("4h")
        moved = cluster(world, root).view.deadline - before["deadline"]
        told = set(world.armed.values()) | {m.labels["deadline"] for m in world.machines.values()}
        assert told == {str(int(cluster(world, root).view.deadline))}
        assert set(world.armed) == set(Three)
        # Killed after the last record, the command has done its work and the next one is another extension.
        assert moved in (4 * 3600, 8 * 3600)
        assert moved == 4 * 3600 or world.clock.seen.count("tell retina-master") == 1
        settled(world, Three, root)
