"""Jobs on the cluster, seen from the control machine: submit, list, logs, cancel, results.

A job belongs to the master from the moment it is submitted: it goes on when this computer is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from provision.core import terminal
from provision.core.errors import CommandFailed, Unreachable
from provision.jobs.busy import deadline_warning
from provision.jobs.queue import Queue, Sink, fetch, reconnected, send, stream
from provision.jobs.request import CLUSTER, Where, make_request


def submit(
    queue: Queue,
    job: str,
    *,
    deadline: float = 0,
    args: Sequence[str] = (),
    deps: Path | None = None,
    main_class: str | None = None,
    follow: bool = True,
    secrets: Mapping[str, str] | None = None,
    image_size: int | None = None,
    files: Sequence[tuple[Path, str]] = (),
    where: Where = CLUSTER,
    sink: Sink | None = None,
    say: Callable[[str], object] | None = None,
) -> str:
    """Send a job to the cluster; returns the run's id.

    Args:
        queue: where to.
        job: a built-in job's name, a Python file, a folder, a jar or a shell command.
        deadline: when the cluster's machines end, in seconds since the epoch; 0 = never by themselves.
        args: its own arguments; of a built-in job its parameters, `name=value`.
        deps: a requirements.txt for this run alone.
        main_class: a jar's main class.
        follow: print its log, wait for its end and fetch its results.
        secrets: environment variables of this run, which nothing keeps beyond its end.
        image_size: pixels a side of the pictures that it reads (default: the size last asked for).
        files: more files that go with the program: (path here, name beside the program).
        where: the whole cluster, or one machine of a group.
        sink: gets the log, in pieces (default: standard output).
        say: gets one-line messages (default: standard error).

    Raises:
        BadJob, NotReady, Unreachable: nothing was submitted.
        CommandFailed: it failed (the reason) or was cancelled.
    """
    env = {} if image_size is None else {"MUSTER_IMAGE_SIZE": str(image_size)}
    request = make_request(
        job, root=queue.root, args=args, deps=deps, main_class=main_class or "", env=env, secrets=secrets,
        files=files, where=where,
    )  # fmt: skip
    tell = say or terminal.say
    if warning := deadline_warning(deadline, queue, request.name):
        tell(f"Warning: {warning}")
    send(queue, request)
    tell(f"Submitted {request.run}")
    if follow:
        finish(queue, request.run, sink=sink, say=tell)
    return request.run


def finish(queue: Queue, run: str, *, sink: Sink | None, say: Callable[[str], object]) -> dict[str, Any]:
    """Follow a run to its end, fetch its results, return its record. Raises CommandFailed when it failed."""
    _show(queue, run, sink=sink, say=say, wait=True)
    target = _fetch(queue, run, say)
    record = queue.run(run)
    if record["state"] != "succeeded":
        what = (
            f"{record['state']}: {record['reason']}" if record["state"] == "failed" else str(record["state"])
        )
        raise CommandFailed(where=run, what=what, output=record["reason"])
    say(_where(record, target))
    return record


def list_runs(queue: Queue) -> list[dict[str, Any]]:
    """Return all runs, the newest first: run, state, submitted, started, seconds, reason, results."""
    return queue.runs()[::-1]


def logs(queue: Queue, run: str | None = None, *, follow: bool = False, sink: Sink | None = None) -> None:
    """Print the log of a run (None = the newest); with `follow` to its end, and then fetch its results.

    Raises MusterError; a failed job is no error here.
    """
    wanted = run or _newest(queue)
    _show(queue, wanted, sink=sink, say=terminal.say, wait=follow)
    if follow:
        target = _fetch(queue, wanted, terminal.say)
        terminal.say(_where(queue.run(wanted), target))


def cancel(queue: Queue, run: str) -> dict[str, Any]:
    """Stop a run with all it started, or take it out of the queue; returns its record once it has ended."""
    return queue.cancel(run)


def _show(queue: Queue, run: str, *, sink: Sink | None, say: Callable[[str], object], wait: bool) -> None:
    """Hand a run's log to `sink`, by default the terminal; see `stream`."""
    if sink is not None:  # in Ansible standard output is no file of bytes
        stream(queue, run, sink=sink, say=say, wait=wait)
        return
    with closing(terminal.Log()) as log:
        stream(queue, run, sink=log, say=say, wait=wait)


def _fetch(queue: Queue, run: str, say: Callable[[str], object]) -> Path:
    """Fetch a run's results, again when the connection breaks over it."""
    try:
        return fetch(queue, run)
    except Unreachable:
        if not reconnected(queue, say):
            raise
        return fetch(queue, run)


def _where(record: Mapping[str, Any], target: Path) -> str:
    """Return where a run's results went, in one line."""
    shown = ", ".join(record["results"])
    return f"Results of {record['run']}: {_relative(target)}" + (f" ({shown})" if shown else "")


def _newest(queue: Queue) -> str:
    runs = queue.runs()
    if not runs:
        raise CommandFailed(
            where=queue.cluster, what="no job was submitted yet", remedy="See ./muster submit --help"
        )
    return str(runs[-1]["run"])


def _relative(path: Path) -> Path:
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path
