"""All counting of machines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provision.core.model import NodeState
from provision.core.names import machine_name
from provision.core.spec import Scale
from provision.planning.plan import describe, make_plan
from provision.providers.ec2.config import Ec2Settings
from tests.fakes.provider import machine, spec

MASTER, W1, W2, W3 = (machine(f"retina-{name}") for name in ("master", "worker-1", "worker-2", "worker-3"))


def names(plan) -> list[str]:
    return [name for _, group in plan.create for name in group]


def test_names() -> None:
    assert machine_name("retina", "master", 1) == "retina-master"
    assert machine_name("retina", "worker", 12) == "retina-worker-12"
    assert machine_name("retina", "big_gpu", 1) == "retina-big-gpu-1"


def test_from_nothing_in_file_order() -> None:
    plan = make_plan(spec(gpu=1), [])
    assert names(plan) == ["retina-master", "retina-worker-1", "retina-worker-2", "retina-gpu-1"]
    assert describe(plan)[0] == "create retina-master (2 cores, 3 GiB, local)"
    assert sum(map(spec(gpu=1).size, spec(gpu=1).groups)) == 4


def test_one_node_is_the_master_alone() -> None:
    assert names(make_plan(spec(1), [])) == ["retina-master"]


def test_nothing_to_do() -> None:
    plan = make_plan(spec(3), [MASTER, W1, W2])
    assert plan.empty
    assert not plan.refuse
    assert describe(plan) == []


def test_gaps_are_filled_first() -> None:
    assert names(make_plan(spec(4), [MASTER, W1, W3])) == ["retina-worker-2"]


def test_a_gap_is_no_reason_to_replace_a_living_worker() -> None:
    plan = make_plan(spec(3), [MASTER, W1, W3])
    assert plan.empty
    assert not plan.refuse


def test_too_many_is_refused_with_the_names() -> None:
    plan = make_plan(spec(2), [MASTER, W1, W2, W3])
    assert plan.refuse == (
        "2 node(s) wished: retina-worker-3, retina-worker-2 would be deleted. Confirm it with -e SCALE_IN=true",
    )


def test_scale_in_deletes_the_highest_numbers() -> None:
    plan = make_plan(spec(2), [MASTER, W1, W2, W3], scale_in=True)
    assert [m.name for m in plan.delete] == ["retina-worker-3", "retina-worker-2"]
    assert not plan.refuse
    assert describe(plan) == ["delete retina-worker-3, retina-worker-2"]


def test_scale_in_never_deletes_the_master() -> None:
    plan = make_plan(spec(1), [MASTER, W1], scale_in=True)
    assert [m.name for m in plan.delete] == ["retina-worker-1"]


def test_what_hdfs_cannot_copy_as_it_is_off_is_not_deleted() -> None:
    off = [replace(one, state=NodeState.STOPPED) for one in (MASTER, W1, W2)]
    (why,) = make_plan(spec(2), off, scale_in=True).refuse
    assert why.startswith(
        "the cluster is stopped, and HDFS cannot copy what retina-worker-2 holds to the others."
    )
    assert not make_plan(spec(2), [MASTER, W1, off[2]], scale_in=True).refuse
    gone = replace(W2, state=NodeState.DELETING)
    assert not make_plan(spec(2), [*off[:2], gone], scale_in=True).refuse
    assert make_plan(spec(2), [MASTER, W1, gone], scale_in=True).decommission == ()


def test_a_group_that_left_the_config() -> None:
    gpu = machine("retina-gpu-1")
    assert "retina-gpu-1 would be deleted" in make_plan(spec(3), [MASTER, W1, W2, gpu]).refuse[0]
    assert make_plan(spec(3), [MASTER, W1, W2, gpu], scale_in=True).delete == (gpu,)


def test_stopped_machines_are_started() -> None:
    stopped = machine("retina-worker-1", NodeState.STOPPED)
    plan = make_plan(spec(3), [MASTER, stopped, W2])
    assert plan.start == (stopped,)
    assert not plan.create
    assert describe(plan) == ["start retina-worker-1"]


@pytest.mark.parametrize("state", [NodeState.PENDING, NodeState.RUNNING])
def test_what_is_coming_counts(state: NodeState) -> None:
    assert make_plan(spec(2), [MASTER, machine("retina-worker-1", state)]).empty


def test_half_deleted_machines_are_finished_and_made_anew() -> None:
    half = machine("retina-worker-2", NodeState.DELETING)
    plan = make_plan(spec(3), [MASTER, W1, half])
    assert plan.delete == (half,)
    assert names(plan) == ["retina-worker-2"]
    assert not plan.refuse


def test_a_lost_master_is_not_replaced() -> None:
    plan = make_plan(spec(3), [W1, W2])
    assert plan.refuse[0].startswith("retina-master is gone, and with it the directory of the files")


def test_a_doubled_name_is_refused() -> None:
    plan = make_plan(spec(3), [MASTER, W1, W2, machine("retina-worker-2", id="i-other")])
    assert plan.refuse[0].startswith("retina-worker-2 exists 2 times (i-other, i-retina-worker-2).")


def test_many_machines_are_named_in_few_words() -> None:
    (line,) = describe(make_plan(spec(1001), [machine("retina-master")]))
    assert line.startswith("create retina-worker-1 … retina-worker-1000 (1000 machines) (")


def test_a_machine_that_is_chosen_by_its_type_is_told_by_it() -> None:
    chosen = [
        replace(group, provider="ec2", settings=Ec2Settings(instance_type=("g5.xlarge", "g4dn.xlarge")))
        for group in spec().groups
    ]
    plan = make_plan(replace(spec(1), groups=tuple(chosen)), [])
    assert describe(plan) == ["create retina-master (g5.xlarge or g4dn.xlarge, ec2)"]


def test_machines_unlike_the_wish_are_reshaped_and_nothing_else() -> None:
    old = [replace(one, labels={"cores": "2", "memory_gb": "2"}) for one in (MASTER, W1)]
    new = replace(W2, labels={"cores": "4", "memory_gb": "2"})
    plan = make_plan(spec(3).scaled(Scale(cores=4)), [*old, new])
    assert [m.name for _, machines in plan.reshape for m in machines] == ["retina-master", "retina-worker-1"]
    assert [group.cores for group, _ in plan.reshape] == [4, 4]
    assert not plan.empty and not (plan.create or plan.delete or plan.start)
    assert describe(plan)[1] == "reshape retina-worker-1 (4 cores, 2 GiB, local; off for a while)"
    assert make_plan(spec(3), [*old, new]).reshape == (), "nobody wished for it"
