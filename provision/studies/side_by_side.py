"""Experiments on machines of their own: each free machine takes the next run, until all have ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from muster_node.queue.records import FINAL
from provision.core.wait import until
from provision.studies.diary import Diary, Page, Result
from provision.studies.experiments import Experiment, Experiments

LOOK_S = 2.0
"""Seconds between two looks at the queue."""


class Machines(Protocol):
    """The machines that experiments run on, and the queue that deals them out."""

    def make(self, count: int) -> None:
        """Have so many machines, ready to train; 0 = delete all. Raises MusterError."""
        ...

    def send(self, one: Experiment, begun: Callable[[str], None]) -> None:
        """Put a run into the queue, telling its id before it is sent. Raises MusterError."""
        ...

    def runs(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the record of every run that the queue knows, by id. Raises MusterError."""
        ...

    def result(self, record: Mapping[str, Any]) -> Result:
        """Fetch what a run that has ended left, and return how it ended. Raises MusterError."""
        ...


@dataclass(frozen=True)
class Study:
    """Experiments, their diary, and their machines. `say` shows one line."""

    wanted: Experiments
    diary: Diary
    machines: Machines
    say: Callable[[str], object]

    def left(self) -> list[Experiment]:
        """Return those whose end is not known."""
        ended = self.diary.read().results
        return [one for one in self.wanted.every if self.wanted.key(one) not in ended]

    def conduct(self, count: int) -> Page:
        """Run what is left on `count` machines, at most one for each run; return all that is known then.

        The machines are deleted when the last run has ended.

        Raises:
            MusterError: machines could not be made, or the way to the queue is lost; the same call goes on.
        """
        self.diary.start(0.0)
        self._collect()  # what ended while nobody looked
        if left := self.left():
            self.machines.make(min(count, len(left)))
            self._send(left)
            until(self._collect, deadline_s=math.inf, interval_s=LOOK_S)
        self.machines.make(0)
        return self.diary.read()

    def _send(self, left: Sequence[Experiment]) -> None:
        """Put into the queue what is not in it, in the order of the file."""
        begun, known = self.diary.read().begun, self.machines.runs()
        for one in left:
            key = self.wanted.key(one)
            if begun.get(key) not in known:
                self.machines.send(one, partial(self.diary.begin, key))

    def _collect(self) -> bool:
        """Write down, and tell, what has ended since the last look; return whether nothing is left."""
        begun, known = self.diary.read().begun, self.machines.runs()
        left = self.left()
        for one in tuple(left):
            record = known.get(begun.get(self.wanted.key(one), ""))
            if record and record["state"] in FINAL:
                result = self.machines.result(record)
                self.diary.finish(self.wanted.key(one), result)
                left.remove(one)
                done = len(self.wanted.every) - len(left)
                self.say(f"[{done}/{len(self.wanted.every)}] {one}: {result}")
        return not left
