"""What the queue on a master says."""

from __future__ import annotations

from typing import Any


def record(run: str, **changed: Any) -> dict[str, Any]:
    """A run that is known there."""
    name, state = run.rsplit("-", 3)[0], "succeeded"
    times = {"submitted": 1.0, "started": 2.0, "ended": 3.0, "seconds": 1.0}
    return {"run": run, "name": name, "state": state, "reason": "", "results": [], **times} | changed
