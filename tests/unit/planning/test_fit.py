"""A config that was changed under machines that exist: said which, and nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provision.cluster.cluster import Cluster
from provision.core.errors import PlanRefused
from provision.planning import fit
from tests.fakes.provider import World, cluster, spec


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World()


def changed(world: World, root: Path, nodes: int, **values: object) -> Cluster:
    """Return the cluster with other values in its group `worker`."""
    config = spec(nodes)
    groups = [
        replace(group, **values) if group.name == "worker" else group  # type: ignore[arg-type]
        for group in config.groups
    ]
    return cluster(world, root, config=replace(config, groups=tuple(groups)))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"memory_gb": 8}, "2 GiB of memory, not 8"),
        ({"cores": 4, "data_disk_gb": 7}, "2 cores, not 4; 10 GB of data disk, not 7"),
    ],
)
def test_machines_that_are_there_are_named(
    world: World, tmp_path: Path, values: dict[str, object], said: str
) -> None:
    cluster(world, tmp_path, 3).ensure()
    with pytest.raises(PlanRefused) as refused:
        changed(world, tmp_path, 4, **values).ensure()
    assert str(refused.value).startswith(
        f"retina: retina-worker-1, retina-worker-2: made before groups.worker was changed ({said}). "
    )
    assert len(world.machines) == len(world.orders) == 3
    assert changed(world, tmp_path, 3, **values).view.offer().plan.refuse


def test_a_machine_at_another_provider(world: World, tmp_path: Path) -> None:
    made = cluster(world, tmp_path, 1)
    made.ensure()
    (line,) = fit.refusals(made.spec, world.machines.values(), lambda _: "softlayer", lambda *_: [])
    assert line.startswith("retina-master: made before groups.master was changed (at softlayer, not local)")


def test_what_goes_anyway_may_be_unlike(world: World, tmp_path: Path) -> None:
    cluster(world, tmp_path, 3).ensure()
    changed(world, tmp_path, 1, memory_gb=8).ensure(scale_in=True)
    assert world.names() == ["retina-master"]
    changed(world, tmp_path, 2, memory_gb=8).ensure()
    assert len(world.machines) == 2
