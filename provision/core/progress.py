"""Showing that something lasts. Standard library only: it runs before anything is installed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET_S = 2.0
"""Seconds after which what is still going on is shown; what ends sooner needs no line."""
EVERY_S, TERMINAL_EVERY_S = 30.0, 5.0
"""Seconds between two lines about something that just lasts: in a log, and where a person watches."""


class Lasting:
    """Something that goes on from now until `end`, shown from a thread while it does.

    Args:
        title: what it is.
        show: called with each line.
        every_s: seconds between two lines.
    """

    def __init__(self, title: str, show: Callable[[str], object], *, every_s: float = EVERY_S) -> None:
        self.begin = time.time()
        self._title, self._show, self._every_s = title, show, every_s
        self._clock = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def end(self, *, ok: bool) -> float:
        """Stop showing it, say how long it took when it was shown and went well; return the seconds."""
        self._ended.set()
        seconds = time.monotonic() - self._clock
        self._thread.join()
        if ok and seconds >= QUIET_S:
            self._show(f"{self._title}: done after {seconds:.1f} s")
        return seconds

    def _beat(self) -> None:
        pause = QUIET_S
        while not self._ended.wait(pause):
            self._show(f"{self._title} … {time.monotonic() - self._clock:.0f} s")
            pause = self._every_s


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on standard error what is waited for: one line that counts on a terminal, a few lines in a log."""
    terminal = sys.stderr.isatty()
    shown = False

    def show(line: str) -> None:
        nonlocal shown
        shown = True
        sys.stderr.write(f"\r\033[K{line}" if terminal else f"{line}\n")
        sys.stderr.flush()

    lasting = Lasting(f"muster: {what}", show, every_s=1.0 if terminal else EVERY_S)
    ok = False
    try:
        yield
        ok = True
    finally:
        lasting.end(ok=ok)
        if terminal and shown:
            sys.stderr.write("\n")
