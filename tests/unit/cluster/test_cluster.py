"""Stopping and destroying a cluster that is at work: refused in one line, unless it is forced."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from provision.cluster.cluster import Cluster
from provision.core.errors import NotReady, PlanRefused
from provision.core.model import ClusterIdentity, NodeState
from provision.core.spec import ObjectStoreSpec, Scale
from provision.planning.nodes import wish_of
from tests.fakes.provider import FakeProvider, KilledError, World, cluster, spec

RUN = "train-20261122-050000-0000"
ENDINGS = [Cluster.stop, Cluster.destroy]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three machines that are up, and a job runs on them."""
    world = World(jobs=[RUN])
    cluster(world, tmp_path).ensure()
    return world


@pytest.mark.parametrize("end", ENDINGS)
def test_a_running_job_is_not_ended_unasked(world: World, tmp_path: Path, end: Callable[..., object]) -> None:
    with pytest.raises(PlanRefused) as refused:
        end(cluster(world, tmp_path))
    assert str(refused.value) == (
        f"retina: 1 job(s) run or wait there: {RUN}. "
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


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (ObjectStoreSpec(kind="folder", path="/data"), "is kind folder in the config; the cluster was started with "),
        (ObjectStoreSpec(name="other"), "is kind local, name other in the config; the cluster was started with "),
        (ObjectStoreSpec(kind="none"), "is kind none in the config; the cluster was started with "),
    ],
)  # fmt: skip
def test_another_object_store_under_a_running_cluster_is_refused(
    world: World, tmp_path: Path, now: ObjectStoreSpec, said: str
) -> None:
    cluster(world, tmp_path).view.check()
    config = replace(spec(path=tmp_path / "retina.yml"), object_store=now)
    changed = cluster(world, tmp_path, config=config)
    with pytest.raises(NotReady) as refused:
        changed.view.check()
    assert str(refused.value) == (
        f"retina: object_store: {said}the store default of this computer. "
        "Run start_cluster.yml, which changes it, or put the config back"
    )
    changed.ensure()
    changed.view.check()
    with pytest.raises(NotReady, match="start_cluster"):
        cluster(world, tmp_path).view.check()
    cluster(world, tmp_path).ensure()
    cluster(world, tmp_path).view.check()


def test_a_cluster_that_never_came_up_has_no_jobs(tmp_path: Path) -> None:
    world = World(unreachable={"retina-master"})
    with suppress(Exception):
        cluster(world, tmp_path).ensure()
    (cluster(world, tmp_path).state.folder / "machines.json").unlink()
    cluster(world, tmp_path).destroy()
    assert not world.machines and not world.asked


@pytest.mark.parametrize(("left", "said"), [(0.0, True), (30 * 3600.0, False), (40 * 3600.0, True)])
def test_keys_that_end_before_the_machines_are_told(
    left: float, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`left`: seconds until the machines end by themselves; 0 = they do not."""
    found, lines = cluster(World(), tmp_path), []
    monkeypatch.setattr(type(found._stores), "renew", lambda *_: time.time() + 36 * 3600)
    monkeypatch.setattr(type(found.view), "deadline", property(lambda _: time.time() + left if left else 0.0))
    monkeypatch.setattr(found._reporter, "say", lines.append)
    found.renew_store_keys()
    assert [line.startswith("The nodes' keys of the object store end 20") for line in lines] == [True] * said


def test_what_this_computer_keeps_back_is_put_right_by_start_and_named_by_verify(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when every machine runs: a firewall that was started later cuts a cluster off in silence."""
    faults = ["ip filter FORWARD drops packets of 10.77.2.0/24"]

    def cut_off(self: FakeProvider, cluster: ClusterIdentity, *, mend: bool = False) -> list[str]:
        found = list(faults)
        if mend:
            faults.clear()
        return found

    monkeypatch.setattr(FakeProvider, "cut_off", cut_off)
    made = cluster(world, tmp_path)
    with pytest.raises(NotReady, match=r"FORWARD drops packets of 10\.77\.2\.0/24.*\./muster up"):
        made.view.require_passage()
    made.ensure()
    made.view.require_passage()


LARGER = Scale(cores=4, memory_gb=8.0)


def test_machines_are_not_reshaped_while_a_job_runs(world: World, tmp_path: Path) -> None:
    wished = spec(3, path=tmp_path / "retina.yml").scaled(LARGER)
    with pytest.raises(PlanRefused, match=RUN):
        cluster(world, tmp_path, config=wished).ensure()
    assert {machine.labels["cores"] for machine in world.machines.values()} == {"2"}
    world.jobs.clear()
    outcome = cluster(world, tmp_path, config=wished).ensure()
    assert sorted(outcome.reshaped) == world.names() and not outcome.created


def test_a_cluster_that_is_not_as_wished_of_its_machines_is_not_ready(world: World, tmp_path: Path) -> None:
    world.jobs.clear()
    wished = spec(3, path=tmp_path / "retina.yml").scaled(LARGER)
    with pytest.raises(NotReady, match=r"has not the CORES and MEMORY_GB that were wished.*start_cluster"):
        cluster(world, tmp_path, config=wished).view.check()
    cluster(world, tmp_path, config=wished).ensure()
    cluster(world, tmp_path).view.check()
    sizes = {(node.group.cores, node.group.memory_gb) for node in cluster(world, tmp_path).view.nodes}
    assert sizes == {(4, 8.0)}, "what the machines have is what roles size by"


def test_what_is_wished_of_one_thing_leaves_the_other_as_it_was_wished(world: World, tmp_path: Path) -> None:
    world.jobs.clear()
    path = tmp_path / "retina.yml"
    cluster(world, tmp_path, config=spec(3, path=path).scaled(LARGER)).ensure()
    cluster(world, tmp_path, config=spec(3, path=path).scaled(Scale(cores=1))).ensure()
    wish = cluster(world, tmp_path).state.journal.read()
    assert (wish.wish, wish.scale) == (3, Scale(1, 8.0))
    master = next(machine for machine in world.machines.values() if machine.group == "master")
    assert wish_of(master.labels) == (3, Scale(1, 8.0)), "who adopts it would undo that"


def test_a_config_that_was_changed_alters_no_machine(world: World, tmp_path: Path) -> None:
    world.jobs.clear()
    changed = spec(3, path=tmp_path / "retina.yml")
    groups = tuple(replace(group, cores=8) for group in changed.groups)
    with pytest.raises(PlanRefused, match="Machines are never altered"):
        cluster(world, tmp_path, config=replace(changed, groups=groups)).ensure()


def test_what_was_tracked_is_saved_before_machines_go(world: World, tmp_path: Path) -> None:
    made = cluster(world, tmp_path, features=("tracking",))
    made.stop(force=True)
    assert "muster-tracking-save" in world.commands.pop("retina-master")
    made.ensure()
    world.unreachable.add("retina-master")
    made.destroy(force=True)  # a master that is silent stops nobody
    assert not world.machines


def test_without_tracking_nobody_is_asked_to_save(world: World, tmp_path: Path) -> None:
    world.commands.clear()
    cluster(world, tmp_path).stop(force=True)
    assert not world.commands
