"""How far a job is, for `./muster jobs`: a line of JSON in the file that $MUSTER_PROGRESS names."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from muster_node import files

MARK = "progress "
"""Begins a line that is no word to print but how far a job is, where only lines get through."""


def line(step: int, of: int, unit: str, **metrics: float) -> str:
    """Return such a line: `step` of `of` epochs, or what `unit` says, are over; `metrics` were measured."""
    return MARK + json.dumps({"step": step, "of": of, "unit": unit, "metrics": metrics})


def heard(said: str) -> bool:
    """Write down a line of `line`; return False when it is another line. That it fails stops nobody."""
    if not said.startswith(MARK):
        return False
    _write(said.removeprefix(MARK))
    return True


def report(step: int, of: int, unit: str, **metrics: float) -> None:
    """Tell how far this job is; see `line`."""
    heard(line(step, of, unit, **metrics))


def say(text: str) -> None:
    """Print a line that says what the job does now, and show it as how far the job is."""
    print(text, flush=True)
    told: dict[str, Any] = {"text": text}
    _write(json.dumps(told))


def _write(text: str) -> None:
    if path := os.environ.get("MUSTER_PROGRESS"):
        with suppress(OSError):
            files.write(Path(path), f"{text}\n")
