"""Runs of jobs, as tests look at them."""

from __future__ import annotations

import re


def runs(lab) -> dict[str, dict]:
    """`./muster jobs --json`, by run."""
    return {run["run"]: run for run in lab.muster("jobs", "--json").ok().json()}


def only_run(run) -> str:
    """The run id that a submit has printed."""
    found = set(re.findall(r"\b[a-z0-9_][\w.-]*-\d{8}-\d{6}-[0-9a-f]{4}\b", run.output))
    assert len(found) == 1, run.report()
    return found.pop()
