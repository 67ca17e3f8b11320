"""Jobs and the end of their cluster: what a stop would cut off, and what the deadline may."""

from __future__ import annotations

import time

from muster_node.queue.records import FINAL
from provision.core.errors import MusterError, PlanRefused
from provision.jobs.queue import Queue
from provision.planning.term import may_outlive

ANSWER_S = 10.0
"""Seconds that a master has to name its jobs before the cluster is stopped or destroyed without its word."""


def refuse_while_busy(queue: Queue) -> None:
    """Raise PlanRefused when a job runs or waits there. A master that does not answer stops nobody."""
    try:
        found = queue.runs(timeout_s=ANSWER_S)
    except MusterError:
        return
    if active := [run["run"] for run in found if run["state"] not in FINAL]:
        raise PlanRefused(
            what=f"{len(active)} job(s) run or wait there: {', '.join(active)}",
            where=queue.cluster,
            remedy="Wait, ./muster cancel RUN, or say --force (-e FORCE=true)",
        )


def deadline_warning(deadline: float, queue: Queue, name: str) -> str:
    """Return a warning when the machines may end before a job of this name does, '' otherwise."""
    if not deadline:
        return ""
    took = [run["seconds"] for run in queue.runs() if run["name"] == name and run["ended"]]
    return may_outlive(deadline, now=time.time(), last_took=took[-1] if took else 0.0)
