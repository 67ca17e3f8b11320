"""Which runs begin, and where: on the whole cluster, on one machine, on a share of one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from muster_node.queue.placing import Machine, Place, in_turn, machines_of, place, refusal
from muster_node.queue.records import Record

CLUSTER = (
    Machine("m", group="master", cores=2, memory_mb=2000),
    Machine("w1", group="worker", cores=2, memory_mb=1000),
    Machine("w2", group="worker", cores=2, memory_mb=1000),
    Machine("g1", group="gpu", cores=8, memory_mb=8000, spark=False),
    Machine("g2", group="gpu", cores=8, memory_mb=8000, spark=False),
)
WHOLE = Place(("m", "w1", "w2"))


def run(name: str, on: str = "", cores: int = 0, memory_mb: int = 0) -> Record:
    return Record(run=name, name=name, kind="shell", on=on, cores=cores, memory_mb=memory_mb)


def placed(waiting: list[Record], *held: Place, dead: str = "") -> dict[str, tuple[str, ...]]:
    found = place(waiting, held, CLUSTER, lambda machine: machine.name != dead)
    return {record.run: where.machines for record, where in found}


def test_runs_on_different_machines_begin_at_once() -> None:
    waiting = [run("a", "worker"), run("b", "worker"), run("c", "master"), run("d", "gpu"), run("e", "gpu")]
    assert placed(waiting) == {"a": ("w1",), "b": ("w2",), "c": ("m",), "d": ("g1",), "e": ("g2",)}


def test_the_whole_cluster_is_master_and_workers() -> None:
    assert placed([run("a"), run("b"), run("c", "gpu")]) == {"a": WHOLE.machines, "c": ("g1",)}
    assert placed([run("a", "worker"), run("b", "gpu")], WHOLE) == {"b": ("g1",)}


def test_a_run_of_the_whole_cluster_waits_for_its_machines_and_nobody_overtakes_it() -> None:
    held = Place(("w1",), 2, 1000)
    assert placed([run("a"), run("b", "worker"), run("c", "master"), run("d", "gpu")], held) == {"d": ("g1",)}
    assert placed([run("a"), run("b", "worker")]) == {"a": WHOLE.machines}


def test_shares_of_a_machine() -> None:
    small = [run(name, "worker", cores=1) for name in "abcde"]
    assert placed(small) == {"a": ("w1",), "b": ("w1",), "c": ("w2",), "d": ("w2",)}
    memory = [run(name, "worker", cores=1, memory_mb=700) for name in "abc"]
    assert placed(memory) == {"a": ("w1",), "b": ("w2",)}


def test_who_asks_for_no_share_is_alone() -> None:
    assert placed([run("a", "worker")], Place(("w1",), 1, 500)) == {"a": ("w2",)}
    assert placed([run("a", "worker", cores=1)], Place(("w1",), 2, 1000)) == {"a": ("w2",)}


def test_small_runs_do_not_overtake_one_that_waits_for_a_machine_of_their_group() -> None:
    held = [Place((name,), 1, 500) for name in ("w1", "w2")]
    assert placed([run("a", "worker"), run("b", "worker", cores=1)], *held) == {}


@pytest.mark.parametrize(
    ("asked", "got"), [({"cores": 2}, (2, 2000)), ({"memory_mb": 4000}, (4, 4000)), ({}, (8, 8000))]
)
def test_what_is_not_asked_for_is_in_proportion(asked: dict[str, int], got: tuple[int, int]) -> None:
    ((_, where),) = place([run("a", "gpu", **asked)], (), CLUSTER)
    assert (where.cores, where.memory_mb) == got


def test_a_machine_that_does_not_answer_is_left_out() -> None:
    assert placed([run("a", "gpu"), run("b", "gpu")], dead="g1") == {"a": ("g2",)}


def test_what_can_never_begin_is_refused() -> None:
    assert refusal(run("a", "worker", cores=2), CLUSTER) == ""
    assert refusal(run("a", cores=2), CLUSTER) == "cores and memory are of one machine: say on which group"
    wanted = "there is no machine of a group tpu; groups: master, worker, gpu"
    assert refusal(run("a", "tpu"), CLUSTER) == wanted
    wanted = "no machine of gpu has 9 cores for a run; g1 has 8 cores and 8000 MiB"
    assert refusal(run("a", "gpu", cores=9), CLUSTER) == wanted


def test_a_machine_elsewhere_takes_runs_when_the_queue_reaches_it() -> None:
    far = Machine("f", group="far", cores=8, memory_mb=900, spark=False, near=False)
    shut = replace(far, name="s", closed="s has no public address")
    assert refusal(run("a", "far"), (*CLUSTER, far)) == ""
    assert refusal(run("a", "far"), (*CLUSTER, shut)) == "far takes no runs: s has no public address"
    ((_, where),) = place([run("a", "far")], (), (*CLUSTER, shut, far))
    assert where.machines == ("f",)


def test_a_queue_that_was_told_of_no_machines_has_its_own() -> None:
    machines = machines_of({"name": "m"})
    assert [record.run for record, _ in place([run("a"), run("b")], (), machines)] == ["a"]


def test_a_runs_own_runs_have_its_turn_so_that_nobody_waits_for_ever() -> None:
    tune = replace(run("tune", "master", cores=1), submitted=1.0)
    whole = replace(run("whole"), submitted=2.0)
    trial = replace(run("trial", "worker"), submitted=3.0, parent="tune")
    other = replace(run("other", "worker"), submitted=1.5, parent="gone")
    waiting = [whole, trial, other]
    assert [one.run for one in in_turn(waiting, [tune, *waiting], {"tune"})] == ["trial", "other", "whole"]
    assert [one.run for one in in_turn(waiting, [tune, *waiting], set())] == ["other", "whole", "trial"]
    held = Place(("m",), 1, 750)
    assert placed(in_turn(waiting, [tune, *waiting], {"tune"}), held) == {"trial": ("w1",), "other": ("w2",)}
