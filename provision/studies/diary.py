"""What a study has done so far: one line of JSON for each event, flushed; a killed one goes on from it."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from provision.core import files
from provision.core.errors import LeaseHeld, StateError
from provision.core.untrusted import parse_json

SUCCEEDED, FAILED = "succeeded", "failed"


@dataclass(frozen=True)
class Result:
    """One run that has ended.

    `seconds`: of the whole run, and of training alone (None = not told). `metrics`: numbers that the job
    wrote of itself. `cost`: US dollars, None = not known. `node`: the machine that it ran on.
    """

    run: str
    state: str
    seconds: float
    reason: str = ""
    executors: int = 0
    executor_cores: int = 0
    executor_memory_mb: int = 0
    train_seconds: float | None = None
    accuracy: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    cost: float | None = None
    node: str = ""

    def __str__(self) -> str:
        return f"{self.state} after {self.seconds:.0f} s" + (f": {self.reason}" if self.reason else "")


def metrics_of(folder: Path) -> dict[str, float]:
    """Return the numbers that a job has written of itself among its results; {} when there are none."""
    try:
        found = parse_json((folder / "metrics.json").read_bytes())
    except OSError:
        return {}
    told = found if isinstance(found, dict) else {}
    numbers = {name: value for name, value in told.items() if isinstance(value, int | float)}
    return {name: float(value) for name, value in numbers.items() if not isinstance(value, bool)}


@dataclass
class Page:
    """All that the diary says. `began`: when the study was first started, in seconds since the epoch."""

    began: float = 0.0
    spent_before: float = 0.0
    results: dict[str, Result] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    """Runs that were sent, by combination, and whose end is not known."""


class Diary:
    """The diary in a study's folder of results; `study` is what it is: a sweep, or experiments."""

    def __init__(self, folder: Path, study: str = "sweep") -> None:
        self.folder = folder
        self.path = folder / f"{study}.jsonl"

    def read(self) -> Page:
        """Return what it says. Raises StateError."""
        page = Page()
        if not self.path.is_file():
            return page
        for number, line in enumerate(files.whole_lines(self.path), start=1):
            try:
                _apply(page, json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise StateError(
                    where=f"{self.path}, line {number}",
                    what="this line cannot be read",
                    remedy="Remove it; what it says is then tried again",
                ) from error
        return page

    def start(self, spent: float) -> Page:
        """Record the start of the study, once, with what the cluster has cost until then; return the page."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.read().began:
            self._append({"kind": "began", "spent": spent})
        return self.read()

    def begin(self, key: str, run: str) -> None:
        """Record a run that is about to be sent."""
        self._append({"kind": "begin", "key": key, "run": run})

    def finish(self, key: str, result: Result) -> None:
        """Record how a combination ended."""
        self._append({"kind": "finish", "key": key, "result": asdict(result)})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the study for this process. Raises LeaseHeld."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise LeaseHeld(
                    where=str(self.folder),
                    what="another command works on this study",
                    remedy="Wait for it",
                    owner_pid=0,
                ) from None
            yield

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps({**record, "at": round(time.time(), 3)}, sort_keys=True).encode() + b"\n"
        files.append_line(self.path, line)


def _apply(page: Page, record: dict[str, Any]) -> None:
    if record["kind"] == "began":
        page.began, page.spent_before = float(record["at"]), float(record["spent"])
    elif record["kind"] == "begin":
        page.begun[record["key"]] = str(record["run"])
    elif record["kind"] == "finish":
        page.results[record["key"]] = Result(**record["result"])
        page.begun.pop(record["key"], None)
    else:
        raise ValueError(record["kind"])
