"""Which clusters hold a job's data, and what they cost an hour. Pure: the cluster's own sizing is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from muster_node import footprint
from muster_node.footprint import Footprint
from provision.core.model import MachineType
from provision.core.names import MASTER, WORKER
from provision.planning.sizing import ApplicationSizing, cluster_sizing

FOOTPRINTS: dict[str, Callable[..., Footprint]] = {"logistic_regression": footprint.of_logistic}
"""The jobs whose memory is known before they run."""
PIXEL_BYTES = 2.5
"""Of a pixel as CSV text, comma included: 2.5 to 2.8 in photographs of eyes at 64 x 64."""
MOST_NODES = 32


@dataclass(frozen=True)
class Work:
    """What is to be trained: `rows` pictures of `columns` numbers each, in `classes` classes."""

    job: str
    rows: int
    columns: int
    classes: int


@dataclass(frozen=True)
class Candidate:
    """So many machines of a type, and how the job sits on them. `why_not`: '' = it can run there."""

    kind: MachineType
    nodes: int
    why_not: str
    sizing: ApplicationSizing | None = None
    need: Footprint | None = None

    @property
    def in_memory(self) -> float:
        """The share of the rows that executors hold in memory; the rest is read from disks each time."""
        return self.need.in_memory if self.need and not self.why_not else 0.0

    @property
    def executor_mb(self) -> int:
        """MiB that an executor has, heap and overhead together."""
        return self.sizing.executor_memory_mb + self.sizing.executor_overhead_mb if self.sizing else 0

    @property
    def hourly(self) -> float | None:
        """US dollars an hour of all machines; None = not known."""
        return None if self.kind.price is None else self.kind.price.hourly * self.nodes


def rows_in(data_bytes: int, columns: int) -> int:
    """Return how many pictures of so many numbers a set has, from its size as CSV text."""
    return max(1, round(data_bytes / (columns * PIXEL_BYTES)))


def assess(work: Work, kind: MachineType, nodes: int) -> Candidate:
    """Return how a job sits on a cluster of equal machines, the master among them."""
    machine = {"cores": kind.shape.cores, "memory_gb": kind.shape.memory_gb}
    named = [{"name": kind.name, "group": WORKER if number else MASTER, **machine} for number in range(nodes)]
    try:
        sizing = cluster_sizing(named)
    except ValueError as error:
        return Candidate(kind, nodes, str(error))
    need = FOOTPRINTS[work.job](
        work.rows,
        work.columns,
        work.classes,
        nodes=sizing.executors,
        cores=sizing.executor_cores,
        executor_memory_mb=sizing.executor_memory_mb,
        driver_memory_mb=sizing.driver_memory_mb,
    )
    return Candidate(kind, nodes, "" if need.fits else need.advice, sizing, need)


def smallest(work: Work, kind: MachineType, nodes: int = 0) -> Candidate:
    """Return the fewest machines of a type that hold all rows in memory; the most when none do.

    `nodes`: exactly so many; 0 = from 1 to MOST_NODES.
    """
    if fixed := nodes or kind.nodes:
        return assess(work, kind, fixed)
    largest = assess(work, kind, MOST_NODES)
    if largest.in_memory < 1:
        return largest
    each = (assess(work, kind, number) for number in range(1, MOST_NODES))
    return next((one for one in each if one.in_memory >= 1), largest)


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return those that hold all rows first, then those that can run; each the cheapest, the fewest first."""

    def order(one: Candidate) -> tuple[bool, bool, bool, float, int]:
        return bool(one.why_not), one.in_memory < 1, one.hourly is None, one.hourly or 0.0, one.nodes

    return sorted(candidates, key=order)
