"""Stopping and destroying a cluster that is at work: refused in one line, unless it is forced."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from provision.cluster.cluster import Cluster
from provision.core.errors import PlanRefused
from provision.core.model import NodeState
from tests.fakes.provider import FakeProvider, KilledError, World, cluster

ENDINGS = [Cluster.stop, Cluster.destroy]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three machines that are up, and a job runs on them."""
    world = World(jobs=["train-1"])
    cluster(world, tmp_path).ensure()
    return world


@pytest.mark.parametrize("end", ENDINGS)
def test_a_running_job_is_not_ended_unasked(world: World, tmp_path: Path, end: Callable[..., object]) -> None:
    with pytest.raises(PlanRefused) as refused:
        end(cluster(world, tmp_path))
    assert str(refused.value) == (
        "retina: 1 job(s) run or wait there: train-1. "
        "Wait, ./muster cancel RUN, or say --force (-e FORCE=true)"
    )
    assert len(world.machines) == 3
    assert {machine.state for machine in world.machines.values()} == {NodeState.RUNNING}
    assert not cluster(world, tmp_path).state.journal.read().intents
    end(cluster(world, tmp_path), force=True)
    assert {machine.state for machine in world.machines.values()} <= {NodeState.STOPPED}
    assert len(world.asked) == 1, "who forces it is not asked"


@pytest.mark.parametrize("end", ENDINGS)
def test_a_master_that_does_not_answer_stops_nobody(
    world: World, tmp_path: Path, end: Callable[..., object]
) -> None:
    world.silent = True
    end(cluster(world, tmp_path))
    assert {machine.state for machine in world.machines.values()} <= {NodeState.STOPPED}


def test_a_master_that_is_off_is_not_asked(world: World, tmp_path: Path) -> None:
    for machine in list(world.machines.values()):
        if machine.group == "master":
            FakeProvider.set_state(
                FakeProvider(world, cluster(world, tmp_path).spec), machine, NodeState.STOPPED
            )
    cluster(world, tmp_path).destroy()
    assert not world.machines and not world.asked


def test_a_destroy_that_was_interrupted_goes_on_without_asking(world: World, tmp_path: Path) -> None:
    world.clock.restart(kill_at=4)
    with suppress(KilledError):
        cluster(world, tmp_path).destroy(force=True)
    world.clock.restart()
    assert world.machines, "it was not interrupted"
    assert cluster(world, tmp_path).state.journal.read().intents, "it had not begun"
    cluster(world, tmp_path).destroy()
    assert not world.machines and not world.asked


def test_a_cluster_that_never_came_up_has_no_jobs(tmp_path: Path) -> None:
    world = World(unreachable={"retina-master"})
    with suppress(Exception):
        cluster(world, tmp_path).ensure()
    (cluster(world, tmp_path).state.folder / "machines.json").unlink()
    cluster(world, tmp_path).destroy()
    assert not world.machines and not world.asked
