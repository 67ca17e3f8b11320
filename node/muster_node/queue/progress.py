"""How far a run is: the last line of a file that its program writes, named by $MUSTER_PROGRESS.

A line is text, or JSON: {"step": 7, "of": 15, "unit": "epoch", "metrics": {"accuracy": 0.97}}. Anybody may
have written anything there, so what is shown is bounded, and of one line.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from muster_node import files

FILE = "progress"
VARIABLE = "MUSTER_PROGRESS"
MOST_BYTES = 4096
LONGEST = 100
"""Characters of what is shown."""
MARK = b"progress "
"""Begins a line by which another machine passes it on."""


def read(home: Path) -> str:
    """Return how far the run in a folder is, in one line of at most LONGEST characters; '' = not known."""
    return shown(last(home))


def last(home: Path) -> str:
    """Return the last line that the program of the run in a folder has written; '' = none."""
    with suppress(OSError, ValueError):
        found = files.read_found(home / FILE, most_bytes=MOST_BYTES)
        lines = found.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""
    return ""


def told(home: Path) -> dict[str, Any]:
    """Return what the program of the run in a folder last told as JSON; {} when it is text, or nothing."""
    with suppress(ValueError, RecursionError):
        found = json.loads(last(home))
        return found if isinstance(found, dict) else {}
    return {}


def shown(line: str) -> str:
    """Return a line of progress as people read it."""
    told: Any = line
    with suppress(ValueError, RecursionError):
        told = json.loads(line)
    text = _words(told) if isinstance(told, dict) else line
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _words(told: dict[str, Any]) -> str:
    steps = f"{told.get('unit', 'step')} {told['step']}" if "step" in told else ""
    if steps and "of" in told:
        steps += f"/{told['of']}"
    metrics = told.get("metrics")
    pairs = (
        [f"{name} {_number(value)}" for name, value in metrics.items()] if isinstance(metrics, dict) else []
    )
    return ", ".join(filter(None, (steps, *pairs, str(told.get("text", "")))))


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def passed_on(line: bytes, home: Path) -> bool:
    """Write down a line by which another machine passes progress on; return False when it is another line."""
    if not line.startswith(MARK):
        return False
    with suppress(OSError):
        files.write(home / FILE, line.removeprefix(MARK)[:MOST_BYTES].decode("utf-8", "replace"))
    return True
