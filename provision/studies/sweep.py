"""A sweep: what is to be tried, as its file says it, and every combination of that."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from provision.core.schema import Model, Span
from provision.core.spec import AS_IN_FILE, ClusterSpec, Duration, Scale
from provision.studies.study_file import Value, program, read, require_sizes, word

MIB_PER_GIB = 1024
ADVISED = "advised"
_Size = Annotated[int, Field(ge=16, le=4096)]
_Cores = Annotated[int, Field(ge=1, le=512)]
_Memory = Annotated[float, Field(gt=0, le=4096)]


@dataclass(frozen=True)
class ClusterShape:
    """A cluster: master + workers, and what each machine has (open: as in the config file)."""

    nodes: int
    scale: Scale = AS_IN_FILE

    def __str__(self) -> str:
        has = [("cores", self.scale.cores), ("GiB", self.scale.memory_gb)]
        return ", ".join([f"{self.nodes} nodes", *(f"{value:g} {unit}" for unit, value in has if value)])

    def of(self, spec: ClusterSpec) -> ClusterSpec:
        """Return a config with this shape."""
        return spec.sized(self.nodes).scaled(self.scale)


@dataclass(frozen=True)
class Layout:
    """How Spark takes a cluster. `executors` 0 = as many as there is room for; `memory_mb`: heap of each."""

    executors: int
    cores: int
    memory_mb: int

    def __str__(self) -> str:
        count = f"{self.executors} x " if self.executors else ""
        return f"{count}{self.cores} cores {self.memory_mb} MiB"


@dataclass(frozen=True)
class Combination:
    """One run. `layout` None = the one that the cluster's sizing advises."""

    shape: ClusterShape
    size: int
    layout: Layout | None

    def __str__(self) -> str:
        return f"{self.shape}; {self.size}x{self.size}; {self.layout or ADVISED}"


@dataclass(frozen=True)
class Sweep:
    """What is tried. `budget` None = no limit in dollars; `minutes`: what one run is expected to take.

    `program`: the job as `submit` takes it.
    """

    name: str
    job: str
    program: str
    parameters: tuple[str, ...]
    shapes: tuple[ClusterShape, ...]
    layouts: tuple[Layout | None, ...]
    sizes: tuple[int, ...]
    budget: float | None
    deadline: Duration
    minutes: float

    def on(self, shape: ClusterShape) -> Iterator[Combination]:
        """Yield the combinations on one cluster: all of a size together, so that it is staged once."""
        for size, layout in itertools.product(self.sizes, self.layouts):
            yield Combination(shape, size, layout)

    def key(self, one: Combination) -> str:
        """Return what a result is known by: another job, or parameter, is another result."""
        return " | ".join([self.job, *sorted(self.parameters), str(one)])


class ShapesModel(Model):
    """Every number of nodes with every number of cores and of GiB; left out = as in the config file."""

    nodes: Annotated[list[Annotated[int, Field(ge=1, le=1000)]], Field(min_length=1)]
    cores: list[_Cores] = []
    memory_gb: list[_Memory] = []


class LayoutModel(Model):
    """Executors of Spark: how many (left out: as many as there is room for), and what each one has."""

    executors: Annotated[int, Field(ge=1, le=10000)] | None = None
    cores: _Cores
    memory_gb: _Memory


class SweepFile(Model):
    """The file of a sweep."""

    job: str = "logistic_regression"
    parameters: dict[str, Value] = {}
    sizes: Annotated[list[_Size], Field(min_length=1)]
    shapes: ShapesModel
    layouts: Annotated[list[Literal["advised"] | LayoutModel], Field(min_length=1)] = ["advised"]
    budget: Annotated[float, Field(gt=0)] | None = None
    deadline: Span = ""
    minutes: Annotated[float, Field(gt=0, le=10000)] = 10


def load_sweep(path: Path) -> Sweep:
    """Read the file of a sweep. Raises ConfigError, in one line."""
    found = read(path, SweepFile, keys="`shapes` and `sizes`", remedy="Compare with sweeps/2015.yml")
    require_sizes(path, "sizes", found.sizes)
    return Sweep(
        name=path.stem,
        job=found.job,
        program=program(path, found.job),
        parameters=tuple(f"{name}={word(value)}" for name, value in found.parameters.items()),
        shapes=tuple(dict.fromkeys(_shapes(found.shapes))),
        layouts=tuple(dict.fromkeys(map(_layout, found.layouts))),
        sizes=tuple(dict.fromkeys(found.sizes)),
        budget=found.budget,
        deadline=Duration(found.deadline),
        minutes=found.minutes,
    )


def _shapes(grid: ShapesModel) -> Iterator[ClusterShape]:
    cores: list[int | None] = [*grid.cores] or [None]
    memory: list[float | None] = [*grid.memory_gb] or [None]
    for core, gib, nodes in itertools.product(cores, memory, grid.nodes):
        yield ClusterShape(nodes, Scale(core, gib))


def _layout(given: Literal["advised"] | LayoutModel) -> Layout | None:
    if isinstance(given, str):
        return None
    return Layout(given.executors or 0, given.cores, int(given.memory_gb * MIB_PER_GIB))
