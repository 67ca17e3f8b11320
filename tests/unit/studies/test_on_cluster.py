"""What a sweep asks of a real cluster: playbooks with the right names, layouts that there is room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provision.core.errors import BadJob, ConfigError
from provision.core.paths import PROJECT
from provision.core.spec import Scale
from provision.studies.on_cluster import OnCluster
from provision.studies.sweep import ClusterShape, Combination, Layout, load_sweep
from tests.fakes.provider import World, cluster, spec

FILE = "sizes: [16]\nshapes: {nodes: [2, 3], cores: [4], memory_gb: [8]}\n"


@dataclass
class Played:
    """The playbooks that were run; the machines follow."""

    world: World
    root: Path
    calls: list[tuple[list[str], dict[str, Any]]] = field(default_factory=list)

    def __call__(self, books: Sequence[str], variables: Mapping[str, Any]) -> None:
        self.calls.append((list(books), dict(variables)))
        if "start_cluster.yml" in books:
            scale = Scale(variables.get("CORES"), variables.get("MEMORY_GB"))
            wanted = spec(int(variables["NUM_NODES"]), path=self.root / "retina.yml").scaled(scale)
            cluster(self.world, self.root, config=wanted).ensure(scale_in=bool(variables["SCALE_IN"]))


def bench(world: World, root: Path, text: str = FILE) -> tuple[OnCluster, Played]:
    file = root / "mine.yml"
    file.write_text(text)
    (root / "jobs").exists() or (root / "jobs").symlink_to(PROJECT / "jobs")
    played = Played(world, root)
    return OnCluster(load_sweep(file), lambda: cluster(world, root).view, played, print), played


def test_the_cluster_is_changed_where_it_is_another_one_and_else_only_the_size_is_staged(
    tmp_path: Path,
) -> None:
    world = World(hourly=0.5)
    found, played = bench(world, tmp_path)
    first, second = found.sweep.shapes
    assert found.now() is None and found.spent() == 0.0
    found.make(second, 16)
    assert found.now() == second == ClusterShape(3, Scale(4, 8.0))
    found.make(second, 16)
    found.make(first, 16)
    assert found.now() == first and len(world.machines) == 2
    wanted = {"CORES": 4, "MEMORY_GB": 8.0, "SCALE_IN": True, "IMAGE_SIZE": 16}
    assert played.calls == [
        (["start_cluster.yml", "main.yml"], {"NUM_NODES": 3, **wanted}),
        (["main.yml"], {"IMAGE_SIZE": 16}),
        (["start_cluster.yml", "main.yml"], {"NUM_NODES": 2, **wanted}),
    ]
    assert found.hourly(second) == 1.5 and found.ends() == 0.0


def test_what_the_sweep_leaves_open_is_not_looked_at(tmp_path: Path) -> None:
    found, played = bench(World(), tmp_path, "sizes: [16]\nshapes: {nodes: [2]}\n")
    found.make(found.sweep.shapes[0], 16)
    assert found.now() == ClusterShape(2)
    assert played.calls[0][1] == {"NUM_NODES": 2, "SCALE_IN": True, "IMAGE_SIZE": 16}


def test_a_layout_is_what_there_is_room_for(tmp_path: Path) -> None:
    found, _ = bench(World(), tmp_path)
    shape = found.sweep.shapes[1]

    def layout(asked: Layout | None) -> Layout:
        return found.layout(Combination(shape, 16, asked))

    advised = layout(None)
    assert advised.executors * advised.cores >= 10, "it uses nearly all cores of three machines"
    assert layout(Layout(0, 1, 512)) == Layout(12, 1, 512)
    assert layout(Layout(2, 1, 512)) == Layout(2, 1, 512)
    assert layout(Layout(99, 4, 1024)) == Layout(3, 4, 1024)
    assert layout(Layout(1, 5, 1024)).executors == 0
    assert layout(Layout(1, 1, 8192)).executors == 0, "its Worker does not offer all of the machine"


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (FILE.replace("[8]", "[8, 1]"), ConfigError, "-e CORES=4 -e MEMORY_GB=1.0: groups.master: 1 GB"),
        (FILE + "job: logistic\n", BadJob, "neither a built-in job"),
        (FILE + "parameters: {treees: 5}\n", BadJob, "treees"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_changed(
    tmp_path: Path, text: str, error: type[Exception], said: str
) -> None:
    found, played = bench(World(), tmp_path, text)
    with pytest.raises(error) as caught:
        found.check()
    assert said in str(caught.value)
    assert not played.calls
