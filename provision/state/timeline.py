"""What a run did and how long each part took, and the reporter that shows it while it happens."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from provision.core import process, progress, terminal
from provision.core.reporter import Reporter

FILE = "timeline.jsonl"


@dataclass(frozen=True)
class Phase:
    """One phase of a run. `begin`: seconds since the epoch; `seconds`: how long it took."""

    run: str
    command: str
    name: str
    begin: float
    seconds: float
    detail: str = ""
    ok: bool = True


def this_run() -> tuple[str, str]:
    """Return what tells this command from others, and the command as the user knows it.

    All processes of one command have the same: PID and start time of the one that the user started.
    """
    top = process.this()
    for parent in process.ancestors(top.pid):
        if parent.program:
            top = parent
    return f"{top.pid}-{top.start}", top.shown


class Timeline:
    """The phases of a cluster's runs, in a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, phase: Phase) -> None:
        """Append a phase; a run whose cluster is gone (its folder too) records nothing."""
        line = json.dumps(asdict(phase), sort_keys=True) + "\n"
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except FileNotFoundError:
            return
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(line)

    def phases(self) -> list[Phase]:
        """Return all phases, oldest first; lines that a crash cut short are left out."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                found.append(Phase(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found

    def last_run(self) -> list[Phase]:
        """Return the phases of the last run, in the order in which they began."""
        phases = self.phases()
        return sorted((p for p in phases if p.run == phases[-1].run), key=lambda p: p.begin) if phases else []


def last_run(state_dir: Path) -> list[dict[str, Any]]:
    """Return the last run's phases as JSON has them: run, command, name, begin, seconds, detail, ok."""
    return [asdict(phase) for phase in Timeline(state_dir / FILE).last_run()]


@dataclass
class _Going:
    """A phase that goes on in `users` threads at once."""

    lasting: progress.Lasting
    users: int = 0
    ok: bool = True


class ConsoleReporter:
    """The reporter: shows lines through `show`, and one now and then for a phase that lasts.

    Threads that are in the same phase share it: it is shown and recorded once, from the first begin to the
    last end.

    Args:
        show: prints a line; by default to standard error.
    """

    def __init__(self, show: Callable[[str], None] | None = None) -> None:
        self._show = show or terminal.say
        self._every_s = progress.TERMINAL_EVERY_S if sys.stderr.isatty() else progress.EVERY_S
        self._going: dict[tuple[str, str], _Going] = {}
        self._ended: list[Phase] = []
        self._timeline: Timeline | None = None
        self._lock = threading.Lock()

    def record_in(self, timeline: Timeline) -> None:
        """Write phases there from now on, those that ended before too (the state folder may be made late)."""
        with self._lock:
            self._timeline = timeline
            for phase in self._ended:
                timeline.add(phase)
            self._ended.clear()

    def say(self, text: str) -> None:
        """Show one line."""
        self._show(text)

    @contextmanager
    def phase(self, name: str, detail: str = "") -> Iterator[None]:
        """Record the phase's seconds; while it lasts longer than two, show what is waited for."""
        title = f"{name}: {detail}" if detail else name
        with self._lock:
            if (name, detail) not in self._going:
                lasting = progress.Lasting(title, self._show, every_s=self._every_s)
                self._going[name, detail] = _Going(lasting)
            going = self._going[name, detail]
            going.users += 1
        ok = False
        try:
            yield
            ok = True
        finally:
            with self._lock:
                going.users -= 1
                going.ok &= ok
                last = not going.users
                if last:
                    del self._going[name, detail]
            if last:
                seconds = going.lasting.end(ok=going.ok)
                run, command = this_run()
                begin = round(going.lasting.begin, 3)
                self._keep(Phase(run, command, name, begin, round(seconds, 3), detail, going.ok))

    def _keep(self, phase: Phase) -> None:
        with self._lock:
            if self._timeline is None:
                self._ended.append(phase)
            else:
                self._timeline.add(phase)


class Subordinate:
    """The reporter of a cluster that is made for another one: what it says stands in the other's timeline."""

    def __init__(self, reporter: Reporter) -> None:
        self.phase, self.say = reporter.phase, reporter.say
