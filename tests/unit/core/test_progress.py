from __future__ import annotations

import io
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from provision.core import progress


class Seconds:
    """A clock and an event of one thread: `wait` returns at once and lets the clock go on."""

    def __init__(self, lasts: float) -> None:
        self.now, self.lasts = 0.0, lasts
        self.over = threading.Event()

    def wait(self, pause: float) -> bool:
        if self.now + pause >= self.lasts:
            self.now = self.lasts
            self.over.set()
            return True
        self.now += pause
        return False

    def set(self) -> None:
        assert self.over.wait(5)


@pytest.fixture
def lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for takes 100 s, which pass at once."""
    clock = Seconds(100)
    monkeypatch.setattr(progress, "time", SimpleNamespace(time=time.time, monotonic=lambda: clock.now))
    monkeypatch.setattr(progress, "threading", SimpleNamespace(Event=lambda: clock, Thread=threading.Thread))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("lasts")
def test_a_log_has_a_line_in_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress.waiting("machines"):
        pass
    assert sys.stderr.getvalue().splitlines() == [
        *(f"muster: machines … {seconds} s" for seconds in (2, 32, 62, 92)),
        "muster: machines: done after 100.0 s",
    ]


@pytest.mark.usefixtures("lasts")
def test_a_terminal_has_one_line_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.waiting("machines"):
        pass
    shown = sys.stderr.getvalue().split("\r\033[K")
    assert shown[1:3] == ["muster: machines … 2 s", "muster: machines … 3 s"]
    assert shown[-1] == "muster: machines: done after 100.0 s\n"
    assert sys.stderr.getvalue().count("\n") == 1


@pytest.mark.usefixtures("lasts")
def test_what_failed_is_not_said_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with pytest.raises(ValueError, match="no"), progress.waiting("machines"):
        raise ValueError("no")
    assert sys.stderr.getvalue().splitlines()[-1] == "muster: machines … 92 s"


def test_what_ends_soon_needs_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.waiting("machines"):
        pass
    assert capsys.readouterr().err == ""
