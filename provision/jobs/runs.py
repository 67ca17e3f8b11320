"""Jobs on the cluster, seen from the control machine: submit, list, logs, cancel, results.

A job belongs to the master from the moment it is submitted: it goes on when this computer is closed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from provision.core.errors import CommandFailed
from provision.jobs.busy import deadline_warning
from provision.jobs.queue import Queue, Sink, fetch, send, stream
from provision.jobs.request import make_request


def submit(
    queue: Queue,
    job: str,
    *,
    deadline: float = 0,
    args: Sequence[str] = (),
    deps: Path | None = None,
    main_class: str | None = None,
    follow: bool = True,
    env: Mapping[str, str] | None = None,
    image_size: int | None = None,
    sink: Sink | None = None,
    say: Callable[[str], object] | None = None,
) -> str:
    """Send a job to the cluster; returns the run's id.

    Args:
        queue: where to.
        job: a built-in job's name, a Python file, a folder, a jar or a shell command.
        deadline: when the cluster's machines end, in seconds since the epoch; 0 = never by themselves.
        args: its own arguments.
        deps: a requirements.txt for this run alone.
        main_class: a jar's main class.
        follow: print its log, wait for its end and fetch its results.
        env: environment variables of this run.
        image_size: pixels a side of the pictures that it reads (default: the size last asked for).
        sink: gets the log, in pieces (default: standard output).
        say: gets one-line messages (default: standard error).

    Raises:
        BadJob, NotReady, Unreachable: nothing was submitted.
        CommandFailed: it failed (the reason) or was cancelled.
    """
    more = {**(env or {}), **({} if image_size is None else {"MUSTER_IMAGE_SIZE": str(image_size)})}
    request = make_request(job, root=queue.root, args=args, deps=deps, main_class=main_class or "", env=more)
    tell = say or _to_stderr
    if warning := deadline_warning(deadline, queue, request.name):
        tell(f"Warning: {warning}")
    send(queue, request)
    tell(f"Submitted {request.run}")
    if follow:
        finish(queue, request.run, sink=sink, say=tell)
    return request.run


def finish(queue: Queue, run: str, *, sink: Sink | None, say: Callable[[str], object]) -> dict[str, Any]:
    """Follow a run to its end, fetch its results, return its record. Raises CommandFailed when it failed."""
    stream(queue, run, sink=sink or _to_stdout, say=say, wait=True)
    target = fetch(queue, run)
    record: dict[str, Any] = queue.ask("show", run)
    if record["state"] != "succeeded":
        what = (
            f"{record['state']}: {record['reason']}" if record["state"] == "failed" else str(record["state"])
        )
        raise CommandFailed(where=run, what=what, output=record["reason"])
    say(_where(record, target))
    return record


def list_runs(queue: Queue) -> list[dict[str, Any]]:
    """Return all runs, the newest first: run, state, submitted, started, seconds, reason, results."""
    found: list[dict[str, Any]] = queue.ask("list", "--json")
    return found[::-1]


def logs(queue: Queue, run: str | None = None, *, follow: bool = False, sink: Sink | None = None) -> None:
    """Print the log of a run (None = the newest); with `follow` to its end, and then fetch its results.

    Raises MusterError; a failed job is no error here.
    """
    wanted = run or _newest(queue)
    stream(queue, wanted, sink=sink or _to_stdout, say=_to_stderr, wait=follow)
    if follow:
        target = fetch(queue, wanted)
        _to_stderr(_where(queue.ask("show", wanted), target))


def cancel(queue: Queue, run: str) -> dict[str, Any]:
    """Stop a run with all it started, or take it out of the queue; returns its record once it has ended."""
    record: dict[str, Any] = queue.ask("cancel", run)
    return record


def _where(record: Mapping[str, Any], target: Path) -> str:
    """Return where a run's results went, in one line."""
    shown = ", ".join(record["results"])
    return f"Results of {record['run']}: {_relative(target)}" + (f" ({shown})" if shown else "")


def _newest(queue: Queue) -> str:
    runs = queue.ask("list", "--json")
    if not runs:
        raise CommandFailed(
            where=queue.cluster, what="no job was submitted yet", remedy="See ./muster submit --help"
        )
    return str(runs[-1]["run"])


def _relative(path: Path) -> Path:
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path


def _to_stdout(block: bytes) -> None:
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  (the command line's default)
