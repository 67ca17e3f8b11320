"""A smaller cluster: machines are deleted when HDFS has all that is on them elsewhere, and not before."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from provision.cluster import decommission
from provision.core.errors import NotReady, PlanRefused, ProviderError
from tests.fakes.provider import FakeProvider, FakeReach, World, cluster

GOING = ["retina-worker-2", "retina-worker-3"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(decommission, "LOOK_EVERY_S", 0.0)
    world = World()
    cluster(world, tmp_path, 4).ensure()
    return world


def addresses(world: World) -> list[str]:
    return sorted(one.address for one in world.machines.values() if one.name in GOING)


def plan_of(world: World) -> dict[str, Any]:
    """What the program on the master was given last."""
    words = shlex.split(world.commands["retina-master"].partition("else exec ")[2].partition("; fi")[0])
    found: dict[str, Any] = json.loads(words[1])
    return found


def test_machines_go_when_nothing_is_on_them_alone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = addresses(world)
    world.to_copy = [{"left": {first: 7, second: 2}}, {"left": {second: 0}}, {"left": {}}]
    there: list[tuple[int, str]] = []
    ask = FakeReach.ask_as_root

    def asked(reach: FakeReach, *words: object, **more: object) -> str:
        answer = ask(reach, *words, **more)  # type: ignore[arg-type]
        verb = plan_of(world)["verb"]
        there.append((len(world.machines), verb))
        return answer

    monkeypatch.setattr(FakeReach, "ask_as_root", asked)
    cluster(world, tmp_path, 2).ensure(scale_in=True)
    assert there == [(4, "begin"), (4, "look"), (4, "look")], "all were there at every look"
    assert world.names() == ["retina-master", "retina-worker-1"]
    staying = sorted(one.address for one in world.machines.values())
    assert plan_of(world) == {"verb": "look", "leaving": [first, second], "staying": staying}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"error": "3 blocks are missing"}, "3 blocks are missing"),
        ({"left": 3}, "something else than Muster's program answers"),
        ({}, "something else than Muster's program answers"),
        ({"left": {"192.0.2.1": 3}}, "something else than Muster's program answers"),
        ({"left": {"10.0.0.4": "no"}}, "something else than Muster's program answers"),
        ([], "something else than Muster's program answers"),
        (None, "retina-master: no answer"),
    ],
    ids=["refused", "no mapping", "nothing", "others", "no number", "a list", "silent"],
)
def test_what_cannot_be_copied_keeps_its_machine(
    answer: object, said: str, world: World, tmp_path: Path
) -> None:
    world.to_copy = [answer]
    if answer is None:
        world.unreachable.add("retina-master")
    with pytest.raises(
        NotReady, match=f"not deleted, as .*: {said}. Run start_cluster.yml main.yml in the size of now"
    ) as error:
        cluster(world, tmp_path, 2).ensure(scale_in=True)
    assert error.value.where in ("retina-worker-3, retina-worker-2", "retina-worker-2, retina-worker-3")
    assert len(world.machines) == 4
    assert plan_of(world)["verb"] == "end", "HDFS gives all of them blocks again"
    world.unreachable.clear()
    again = cluster(world, tmp_path, 4)
    assert again.view.wish == 4
    again.view.check()  # main.yml goes on in the old size


def test_no_progress_is_not_waited_for_without_end(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decommission, "STALLED_S", 0.0)
    monkeypatch.setattr(decommission, "BEGIN_EVERY_S", 0.0)
    going = addresses(world)[0]
    world.to_copy = [{"left": {going: blocks}} for blocks in (7, 9, 8)]
    with pytest.raises(NotReady, match="no more was copied for 0 s, left are retina-worker-[23] 9 blocks"):
        cluster(world, tmp_path, 2).ensure(scale_in=True)
    assert len(world.machines) == 4


def test_a_cluster_that_never_was_complete_has_no_files(tmp_path: Path) -> None:
    world = World(unreachable={"retina-master"})
    with pytest.raises(Exception, match="retina-master"):
        cluster(world, tmp_path, 4).ensure()
    cluster(world, tmp_path, 4)
    world.commands.clear()
    with pytest.raises(Exception, match="retina-master"):
        cluster(world, tmp_path, 2).ensure(scale_in=True)
    assert len(world.machines) == 2
    assert not world.commands


def test_a_state_that_was_lost_in_part_is_no_reason_not_to_ask(world: World, tmp_path: Path) -> None:
    (snapshot,) = tmp_path.glob("**/machines.json")
    snapshot.unlink()
    world.to_copy = [{"error": "no room"}]
    with pytest.raises(NotReady, match="no room"):
        cluster(world, tmp_path, 2).ensure(scale_in=True)
    assert len(world.machines) == 4


def test_machines_whose_deletion_failed_are_decided_on_anew(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They serve again perhaps, and whoever wishes for as many as there are keeps them."""

    def refused(*_: object) -> None:
        raise ProviderError(provider="local", what="not now")

    with monkeypatch.context() as failing:
        failing.setattr(FakeProvider, "delete", refused)
        with pytest.raises(ProviderError, match="not now"):
            cluster(world, tmp_path, 2).ensure(scale_in=True)
    with pytest.raises(PlanRefused, match="retina-worker-3, retina-worker-2 would be deleted"):
        cluster(world, tmp_path, 2).ensure()
    assert not cluster(world, tmp_path, 4).ensure().changed
    assert len(world.machines) == 4
