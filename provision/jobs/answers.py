"""What the queue on the master answers, checked: jobs can answer in its place, so it may be anything."""

from __future__ import annotations

from typing import Any

from muster_node.queue.records import FINAL, QUEUED, RUN_ID, RUNNING
from provision.core.errors import MusterError
from provision.core.untrusted import is_number

STATES = FINAL | {QUEUED, RUNNING}
_TEXTS = ("run", "name", "state", "reason")
_NEWER_TEXTS = ("on", "node", "progress")
"""An older queue does not know them."""
_NUMBERS = ("submitted", "started", "ended", "seconds")


def require_run(run: str, where: str) -> str:
    """Return the name of a run, which is a folder's name too. Raises MusterError when it is none."""
    if not RUN_ID.fullmatch(run):
        raise MusterError(where=where, what=f"{run!r} is not the name of a run", remedy="See ./muster jobs")
    return run


def record(answer: Any, master: str, run: str = "") -> dict[str, Any]:  # noqa: ANN401  (whatever JSON it is)
    """Return the record of one run: `run`, if that is said. Raises MusterError when it is none."""
    if not _sound(answer) or run not in ("", answer["run"]):
        raise _lie(master)
    found: dict[str, Any] = answer
    return found


def records(answer: Any, master: str) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return the records of all runs. Raises MusterError when they are none."""
    if not isinstance(answer, list):
        raise _lie(master)
    return [record(each, master) for each in answer]


def _sound(answer: object) -> bool:
    return (
        isinstance(answer, dict)
        and all(isinstance(answer.get(key), str) for key in _TEXTS)
        and RUN_ID.fullmatch(answer["run"]) is not None
        and answer["state"] in STATES
        and all(is_number(answer.get(key)) for key in _NUMBERS)
        and all(isinstance(answer.get(key, ""), str) for key in _NEWER_TEXTS)
        and isinstance(answer.get("results"), list)
        and all(isinstance(name, str) for name in answer["results"])
    )


def _lie(master: str) -> MusterError:
    return MusterError(
        where=master,
        what="something else than its queue of jobs answers, perhaps a job",
        remedy="Run main.yml; when it stays so, believe nothing that this cluster says",
    )
