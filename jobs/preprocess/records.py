"""Parts that were made before: a pass that was ended goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from fetching import Object, ahead, fetcher
from tasks import Job, Made, Task

from muster_node import sets
from muster_node.stores.base import Settings, Store

AHEAD_BYTES = 16 << 20


def made_before(
    settings: Settings, store: Store, tasks: Sequence[Task], job: Job
) -> tuple[list[Made], list[Task]]:
    """Return what is made already, and the tasks and sizes that are left. Raises StoreError."""
    dataset = job.options.dataset
    there = dict(
        entry
        for part, size in {(task.part, size) for task in tasks for size in task.sizes}
        for entry in store.names(sets.set_prefix(dataset, part, size))
    )
    wanted = {
        sets.record_key(dataset, task.part, size, task.number): job.digest(task, size)
        for task in tasks
        for size in task.sizes
    }
    records = [Object(key, there[key], ()) for key in wanted if key in there]
    found: dict[str, Made] = {}
    for record, content in ahead(fetcher(settings), records, AHEAD_BYTES):
        made = read(content)
        if made and made.digest == wanted[record.key] and holds(made, there, job.memory):
            found[record.key] = made
    return list(found.values()), list(left(tasks, found, dataset))


def read(content: bytes | None) -> Made | None:
    """Read a record; None when it is gone, or none of this version."""
    try:
        return None if content is None else Made.from_json(content)
    except (ValueError, TypeError):
        return None


def holds(made: Made, there: Mapping[str, int], memory: int) -> bool:
    """Say whether a part is what would be made now: with other memory other images may be left out."""
    whole = all(there.get(file.key) == file.bytes for file in made.files)
    return whole and (not made.skipped or made.memory == memory)


def left(tasks: Iterable[Task], found: Mapping[str, Made], dataset: str) -> Iterable[Task]:
    """Return the tasks with the sizes that are not in `found`, without those that have none."""
    for task in tasks:
        sizes = tuple(
            size for size in task.sizes if sets.record_key(dataset, task.part, size, task.number) not in found
        )
        if sizes:
            yield replace(task, sizes=sizes)
