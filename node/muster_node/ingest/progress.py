"""How far it is, with rate and time left: read from the journal, which all machines write."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Self

from muster_node.ingest.journal import Journal
from muster_node.ingest.pieces import Task
from muster_node.stores.base import StoreError

EVERY_S = 5.0
BYTES = "bytes"


class Progress:
    """Prints a line every few seconds while something comes; a context.

    Args:
        task: what is done.
        total: units in all, 0 = unknown.
        unit: BYTES, or what is counted.
    """

    def __init__(self, task: Task, total: int, unit: str) -> None:
        self._journal: Journal = task.journal()
        self._total, self._unit = total, unit
        self._known: set[str] = set()
        self._units = self._images = self._size = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _follow(self) -> None:
        before, begin = self._units, time.monotonic()
        while not self._done.wait(EVERY_S):
            if self._look():
                rate = (self._units - before) / (time.monotonic() - begin)
                came = f"{self._images:,} images, {amount(self._size, BYTES)}"
                print(f"{came}; {line(self._units, self._total, rate, self._unit)}", flush=True)

    def _look(self) -> bool:
        """Read what is new in the journal; return whether something is."""
        before = len(self._known)
        with suppress(StoreError):
            for name in sorted(set(self._journal.names()) - self._known):
                if piece := self._journal.read(name):
                    self._known.add(name)
                    self._units += piece.units
                    self._images += len(piece.names)
                    self._size += piece.raw_bytes
        return len(self._known) > before


def line(units: int, total: int, rate: float, unit: str) -> str:
    """Say how far it is.

    Args:
        units: done in all.
        total: in all, 0 = unknown.
        rate: units a second.
        unit: BYTES, or what is counted.
    """
    done = amount(units, unit)
    if total:
        done = f"{done if unit == BYTES else f'{units:,}'} of {amount(total, unit)}"
    text = f"{done}, {amount(int(rate), unit)}/s"
    return f"{text}, {span(max(total - units, 0) / rate)} left" if total and rate > 0 else text


def amount(units: int, unit: str) -> str:
    """Return a number of units as people read it."""
    if unit != BYTES:
        return f"{units:,} {unit}"
    return f"{units / 2**30:.1f} GiB" if units >= 2**30 else f"{units / 2**20:.1f} MiB"


def span(seconds: float) -> str:
    """Return a span of time in its largest useful unit."""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
