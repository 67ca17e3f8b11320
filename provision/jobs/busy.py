"""Jobs and the end of their cluster: what a stop would cut off, and what the deadline may."""

from __future__ import annotations

import time
from typing import Any, Protocol

from provision.core.errors import MusterError, PlanRefused
from provision.planning.term import may_outlive

ACTIVE = ("queued", "running")


class Asked(Protocol):
    """The queue of jobs (`job_queue.Queue`)."""

    def ask(self, *words: str) -> Any:  # noqa: ANN401  (whatever JSON the master answers)
        """See `job_queue.Queue.ask`."""
        ...


def refuse_while_busy(cluster: str, queue: Asked) -> None:
    """Raise PlanRefused when a job runs or waits there. A master that does not answer stops nobody."""
    try:
        found = [run["run"] for run in queue.ask("list", "--json") if run["state"] in ACTIVE]
    except MusterError:
        return
    if found:
        raise PlanRefused(
            what=f"{len(found)} job(s) run or wait there: {', '.join(found)}",
            where=cluster,
            remedy="Wait, ./muster cancel RUN, or say --force (-e FORCE=true)",
        )


def deadline_warning(deadline: float, queue: Asked, name: str) -> str:
    """Return a warning when the machines may end before a job of this name does, '' otherwise."""
    if not deadline:
        return ""
    took = [run["seconds"] for run in queue.ask("list", "--json") if run["name"] == name and run["ended"]]
    return may_outlive(deadline, now=time.time(), last_took=took[-1] if took else 0.0)
