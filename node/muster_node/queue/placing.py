"""Which of the waiting runs begin now, and where. Pure.

A run has the whole cluster (every machine with a Spark Worker), or one machine of a group: alone, or a share
of it. Runs whose machines differ go on at once. First come, first served: a run that waits keeps later ones
off every machine that it may get, so that nobody is overtaken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from muster_node.queue.records import Record


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster. `memory_mb`: MiB that runs may have there, beside system and daemons.

    `spark`: it has a Worker, so a run of the whole cluster needs it; `near`: it is in the network of the
    queue's own machine; `closed`: why the queue cannot reach it, '' = it can; `hourly`: US dollars,
    None = not known.
    """

    name: str
    address: str = ""
    group: str = ""
    cores: int = 0
    memory_gb: float = 0.0
    memory_mb: int = 0
    spark: bool = True
    near: bool = True
    closed: str = ""
    gpus: int = 0
    hourly: float | None = None


@dataclass(frozen=True)
class Place:
    """The machines that a run has, and how much of them: `cores` and MiB; both 0 = all that they have."""

    machines: tuple[str, ...]
    cores: int = 0
    memory_mb: int = 0

    @property
    def whole(self) -> bool:
        """Whether it shares its machines with nobody."""
        return not self.cores


def machines_of(settings: Mapping[str, Any]) -> list[Machine]:
    """Return the machines that the role wrote down; where it wrote none, the queue's own."""
    known = {each.name for each in fields(Machine)}
    found = settings.get("machines") or [{"name": str(settings.get("name", ""))}]
    return [Machine(**{key: value for key, value in one.items() if key in known}) for one in found]


def wanted(record: Record, machines: Iterable[Machine]) -> list[Machine]:
    """Return the machines that a run needs (of the whole cluster), or of which it needs one (of a group)."""
    return (
        [one for one in machines if one.group == record.on and not one.closed]
        if record.on
        else whole(machines)
    )


def whole(machines: Iterable[Machine]) -> list[Machine]:
    """Return the machines that a run of the whole cluster has."""
    return [one for one in machines if one.spark]


def share(record: Record, machine: Machine) -> tuple[int, int]:
    """Return the cores and MiB that a run takes of a machine; what it does not name is in proportion."""
    cores, memory = record.cores, record.memory_mb
    if not cores and not memory:
        return machine.cores, machine.memory_mb
    if not cores:
        cores = max(1, machine.cores * memory // max(1, machine.memory_mb))
    if not memory:
        memory = machine.memory_mb * cores // max(1, machine.cores)
    return cores, memory


def refusal(record: Record, machines: Sequence[Machine]) -> str:
    """Return why no machine will ever do for a run, '' when one will."""
    if not record.on:
        return (
            "cores and memory are of one machine: say on which group"
            if record.cores or record.memory_mb
            else ""
        )
    if record.spark:
        return "executors are of the whole cluster: a run on one machine has none"
    meant = [one for one in machines if one.group == record.on]
    if not meant:
        there = ", ".join(dict.fromkeys(one.group for one in machines))
        return f"there is no machine of a group {record.on}; groups: {there}"
    if all(one.closed for one in meant):
        return f"{record.on} takes no runs: {meant[0].closed}"
    meant = wanted(record, machines)
    if any(_fits(record, one, ()) for one in meant):
        return ""
    most = max(meant, key=lambda one: (one.memory_mb, one.cores))
    asked = [f"{record.cores} cores"] * bool(record.cores)
    asked += [f"{record.memory_mb} MiB"] * bool(record.memory_mb)
    return (
        f"no machine of {record.on} has {' and '.join(asked)} for a run; "
        f"{most.name} has {most.cores} cores and {most.memory_mb} MiB"
    )


def in_turn(
    waiting: Iterable[Record], everything: Iterable[Record], going_on: Collection[str]
) -> list[Record]:
    """Return what waits in the order in which it is served: as submitted, but a run's own runs with it.

    A run that waits for its own runs would else wait for ever behind one that waits for its machine.
    """
    since = {record.run: record.submitted for record in everything if record.run in going_on}
    return sorted(waiting, key=lambda one: (since.get(one.parent, one.submitted), one.submitted, one.run))


def place(
    waiting: Iterable[Record],
    held: Iterable[Place],
    machines: Sequence[Machine],
    answers: Callable[[Machine], bool] = lambda _: True,
) -> list[tuple[Record, Place]]:
    """Return the runs to begin now and their places.

    Args:
        waiting: what waits, the oldest first.
        held: what the runs that go on have.
        machines: all of the cluster.
        answers: whether a machine that is not this one can be reached.
    """
    taken: dict[str, list[Place]] = {one.name: [] for one in machines}
    for held_place in held:
        for name in held_place.machines:
            taken.setdefault(name, []).append(held_place)
    kept_off: set[str] = set()
    begun = []
    for record in waiting:
        meant = wanted(record, machines)
        free = [one for one in meant if one.name not in kept_off]
        found = _one(record, free, taken, answers) if record.on else _all(meant, free, taken)
        if found is None:
            kept_off |= {one.name for one in meant}
            continue
        begun.append((record, found))
        for name in found.machines:
            taken[name].append(found)
    return begun


def _all(
    meant: Sequence[Machine], free: Sequence[Machine], taken: Mapping[str, Sequence[Place]]
) -> Place | None:
    names = tuple(one.name for one in meant)
    return None if len(free) < len(meant) or any(taken[name] for name in names) else Place(names)


def _one(
    record: Record,
    free: Sequence[Machine],
    taken: Mapping[str, Sequence[Place]],
    answers: Callable[[Machine], bool],
) -> Place | None:
    """Return a place on one machine: among those that have room the one that is used most."""
    fitting = [one for one in free if _fits(record, one, taken[one.name])]
    for machine in sorted(fitting, key=lambda one: -sum(place.cores for place in taken[one.name])):
        if answers(machine):
            cores, memory = share(record, machine)
            return Place((machine.name,), cores, memory)
    return None


def _fits(record: Record, machine: Machine, taken: Iterable[Place]) -> bool:
    there = list(taken)
    if any(place.whole for place in there):
        return False
    cores, memory = share(record, machine)
    cores += sum(place.cores for place in there)
    memory += sum(place.memory_mb for place in there)
    return cores <= machine.cores and memory <= machine.memory_mb
