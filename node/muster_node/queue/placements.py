"""Where runs have been put: root's notes, a file for each run that goes on. Jobs can read them, not write."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from muster_node import files
from muster_node.queue import records
from muster_node.queue.placing import Machine, Place, machines_of


def folder() -> Path:
    """Return the folder of the notes."""
    return records.ROOT / "placed"


def keep(run: str, place: Place) -> None:
    """Note where a run is put; `run` was checked."""
    files.write(folder() / run, json.dumps(asdict(place)))


def of(run: str) -> Place | None:
    """Return where a run was put, None when that is not known."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads((folder() / run).read_text())
        return Place(tuple(found["machines"]), int(found["cores"]), int(found["memory_mb"]))
    return None


def forget_all_but(going_on: Collection[str]) -> None:
    """Forget where runs were that are over."""
    for path in folder().iterdir():
        if path.name not in going_on:
            path.unlink(missing_ok=True)


def machines(place: Place) -> list[Machine]:
    """Return the machines of a place, as far as they are known now."""
    known = {one.name: one for one in machines_of(records.settings())}
    return [known[name] for name in place.machines if name in known]


def elsewhere(place: Place | None) -> Machine | None:
    """Return the machine of a run that is not on this one, None when it is here or has the whole cluster."""
    if place is None or place.whole:
        return None
    found = machines(place)
    return found[0] if found and found[0].name != records.settings().get("name") else None


def there(machine: str) -> list[str]:
    """Return the runs that have been put on one machine."""
    found = {path.name: of(path.name) for path in folder().iterdir()}
    return sorted(run for run, place in found.items() if place and machine in place.machines)
