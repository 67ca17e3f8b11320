"""What a run did and how long each part took, and the reporter that shows it while it happens."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from provision.core import process

_COMMAND = re.compile(r"(^|[ /])(ansible-playbook|muster|provision/cli\.py|provision\.cli)( |$)")
FILE = "timeline.jsonl"
QUIET_S = 2.0
"""Seconds after which a phase that is still going on is shown with the time elapsed."""


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
        if _COMMAND.search(parent.command):
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


class ConsoleReporter:
    """The reporter: shows lines through `show`, and a line every few seconds for a phase that lasts.

    Args:
        show: prints a line; by default to standard error.
        beat_s: seconds between two lines of a phase that lasts.
    """

    def __init__(self, show: Callable[[str], None] | None = None, *, beat_s: float = 5.0) -> None:
        self._show = show or (lambda text: print(text, file=sys.stderr, flush=True))  # noqa: T201
        self._beat_s = beat_s
        self._waiting: list[Phase] = []
        self._timeline: Timeline | None = None
        self._lock = threading.Lock()

    def record_in(self, timeline: Timeline) -> None:
        """Write phases there from now on, those that ended before too (the state folder may be made late)."""
        with self._lock:
            self._timeline = timeline
            for phase in self._waiting:
                timeline.add(phase)
            self._waiting.clear()

    def say(self, text: str) -> None:
        """Show one line."""
        self._show(text)

    @contextmanager
    def phase(self, name: str, detail: str = "") -> Iterator[None]:
        """Record the phase's seconds; while it lasts longer than two, show what is waited for."""
        begin, clock, ended = time.time(), time.monotonic(), threading.Event()
        title = f"{name}: {detail}" if detail else name
        beat = threading.Thread(target=self._beat, args=(title, clock, ended), daemon=True)
        beat.start()
        ok = False
        try:
            yield
            ok = True
        finally:
            ended.set()
            seconds = time.monotonic() - clock
            beat.join()
            if seconds >= QUIET_S and ok:
                self._show(f"{title}: done after {seconds:.1f} s")
            run, command = this_run()
            self._keep(Phase(run, command, name, round(begin, 3), round(seconds, 3), detail, ok))

    def _beat(self, title: str, clock: float, ended: threading.Event) -> None:
        wait = QUIET_S
        while not ended.wait(wait):
            self._show(f"{title} … {time.monotonic() - clock:.0f} s")
            wait = self._beat_s

    def _keep(self, phase: Phase) -> None:
        with self._lock:
            if self._timeline is None:
                self._waiting.append(phase)
            else:
                self._timeline.add(phase)
