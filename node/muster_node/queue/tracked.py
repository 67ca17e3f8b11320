"""Runs in MLflow: begun when they begin, and told in full when they have ended, each once.

`report` looks at what is there, so it may be called at any time, and again: after each run, when the server
has started, before somebody reads. A server that is gone costs nothing but time: the next call makes up for
it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from muster_node import files
from muster_node.queue import records, results
from muster_node.queue.records import FINAL, Record
from muster_node.tracking import facts, variables
from muster_node.tracking.client import Server
from muster_node.tracking.settings import Settings, Untracked

TOLD, WARNED = "tracked", "untracked"
"""Files in a run's folder: MLflow knows how it ended; its log says that MLflow could not be told."""
MOST_BYTES = 1 << 30
"""Of a run's results that go to MLflow, its smallest files first; all of them are in HDFS."""
BEGIN_S = 3.0
"""How long the begin of a run may wait for the server."""
START_S = 300.0
"""How long a server may take to start."""
OFF = "runs are not tracked here; add `features: [tracking]` to the config file, then ./muster up"
PARENT = "mlflow.parentRunId"
LOST = "lost"
"""State of a run whose cluster is gone."""


def environ(record: Record, log: IO[bytes]) -> dict[str, str]:
    """Return what a run's program finds of the tracking server; a built-in job's run begins there.

    Args:
        record: the run.
        log: gets a line when the server does not answer; what MLflow is told lies in the results then.
    """
    try:
        settings = Settings.load()
        if settings is None:
            return {}
        server, told, run_id = Server(settings, BEGIN_S), records.describe(record), ""
        tags = _tags_of(server, record, told)
        if record.kind == "builtin":
            run_id = _begin(server, told, tags)["info"]["run_id"]
        else:
            server.experiment(facts.experiment(tags))
    except Untracked as error:
        log.write(f"WARNING: not tracked while it runs: {error}\n".encode())
        return apart(record.run)
    return variables.environ(settings, tags, run_id)


def apart(run: str) -> dict[str, str]:
    """Return what a run's program finds where the server is out of reach, {} where runs are not tracked.

    What it tells MLflow lies in its results; the server is told of the run when it has ended.
    """
    with suppress(Untracked):
        if Settings.load() is None:
            return {}
    return variables.apart(records.folder(run) / "results")


def report(settings: Settings, *, wait_s: float = START_S) -> list[str]:
    """Tell the server of all runs that have ended since the last call; return their names.

    Raises:
        Untracked: it does not answer within `wait_s` seconds.
    """
    server = Server(settings, timeout_s=120)
    server.wait(wait_s)
    told: list[str] = []
    with _alone():
        while fresh := [run for run in _ended() if run not in told]:
            told += fresh
            for run in fresh:
                _report(server, run)
        _end_lost(server)
    return told


def _tags_of(server: Server, record: Record, told: Mapping[str, Any]) -> dict[str, str]:
    """Return a run's tags; one that another run has sent, such as a trial, lies within that in MLflow."""
    tags = facts.tags(server.settings, told, {**records.settings()["env"], **record.env})
    if record.parent:
        found = _own(server.runs(f"tags.`muster.run` = '{record.parent}'"))
        if found:
            tags[PARENT] = found[-1]["info"]["run_id"]
    return tags


def _own(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those that lie within none of the others."""
    known = {run["info"]["run_id"] for run in found}
    return [run for run in found if _tags(run).get(PARENT) not in known]


def _ended() -> list[str]:
    """Return the runs that have ended and that the server has not been told of."""
    ended = [record.run for record in records.every() if record.state in FINAL]
    return [run for run in ended if not (records.folder(run) / TOLD).exists()]


def _report(server: Server, run: str) -> None:
    record, home = records.load(run), records.folder(run)
    try:
        _tell(server, record, home)
    except (Untracked, OSError) as error:
        _warn(home, str(error))
        raise Untracked(str(error)) from error
    (home / TOLD).touch()


def _tell(server: Server, record: Record, home: Path) -> None:
    told, folder = records.describe(record, whole=True), home / "results"
    figures = facts.read(folder / facts.METRICS)
    found = server.runs(f"tags.`muster.run` = '{record.run}'")
    own = _own(found)
    if not found and record.kind != "builtin" and not figures:
        return  # a program that has nothing to compare
    tags = _tags_of(server, record, told)
    run = own[-1] if own else _begin(server, told, tags)  # the first that the program has begun
    server.log(
        run["info"]["run_id"],
        tags=tags | facts.ending(told, folder),
        params=_new(run, "params", facts.params(told, facts.read(folder / facts.PARAMETERS))),
        metrics=[
            point
            for point in facts.figures(figures, record.ended)
            if _new(run, "metrics", {str(point["key"]): ""})
        ],
    )
    _upload(server, run["info"]["artifact_uri"], told, home)
    for each in {one["info"]["run_id"]: one for one in (run, *found)}.values():
        if each is run or each["info"]["status"] == "RUNNING":
            server.end(each["info"]["run_id"], facts.STATUS[record.state], end=record.ended)


def _begin(server: Server, told: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    experiment = server.experiment(facts.experiment(tags))
    made = server.create(experiment, str(told["run"]), tags, start=told["started"] or time.time())
    server.log(made["info"]["run_id"], params=facts.params(told, {}))
    return made


def _upload(server: Server, artifact_uri: str, told: Mapping[str, Any], home: Path) -> None:
    """Copy a run's results, its log and its record."""
    sizes = {path: path.stat().st_size for path in (home / "log", *results.files(home / "results"))}
    left = MOST_BYTES
    for path in sorted(sizes, key=lambda path: sizes[path]):
        left -= sizes[path]
        if left < 0:
            break
        name = path.relative_to(home).as_posix().removeprefix("results/")
        with suppress(PermissionError), path.open("rb") as content:
            server.upload(artifact_uri, name, content, sizes[path])
    record = json.dumps(told, indent=1).encode()
    server.upload(artifact_uri, "run.json", BytesIO(record), len(record))


def _end_lost(server: Server) -> None:
    """End what MLflow believes to be running although its cluster, or the run, is gone."""
    for run in server.runs("attributes.status = 'RUNNING' AND tags.`muster.run` != ''"):
        tags, ended = _tags(run), time.time()
        if tags.get("muster.cluster_id") == server.settings.cluster_id:
            with suppress(records.Refused):
                record = records.load(tags["muster.run"])
                if record.state not in FINAL:
                    continue
                ended = record.ended
        server.log(run["info"]["run_id"], tags={"muster.state": LOST})
        server.end(run["info"]["run_id"], "FAILED", end=ended)


def _tags(run: Mapping[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in run["data"].get("tags", ())}


def _new(run: Mapping[str, Any], kind: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return what a run does not have yet: values that it logged itself stay."""
    known = {each["key"] for each in run["data"].get(kind, ())}
    return {key: value for key, value in values.items() if key not in known}


def _warn(home: Path, why: str) -> None:
    """Say in a run's log, once, that MLflow does not know of it yet."""
    if not (home / WARNED).exists():
        with suppress(OSError):
            log = files.open_found(home / "log", os.O_WRONLY | os.O_APPEND)
            with os.fdopen(log, "w") as file:
                file.write(f"WARNING: not tracked yet: {why}\n")
        (home / WARNED).touch()


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until nobody else reports."""
    with (records.ROOT / "runs" / ".tracking").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
