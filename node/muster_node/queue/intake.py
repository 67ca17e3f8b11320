"""Taking runs in: a request, one line of JSON, then a tar archive with the program."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from muster_node.archive import BadArchive, unpack
from muster_node.queue import cancelling, layout, placing, provenance, records, secret_env
from muster_node.queue.records import FINAL, OF_THE_QUEUE, Record, Refused

MOST_FILES, MOST_BYTES = 100_000, 4 << 30
"""Of what is submitted."""
MOST = 1 << 24
"""Cores, or MiB, that a run may ask for."""
STANDING = "standing"
"""What the queue of the cluster says to a machine that it puts a run on: those that it has there."""


def submit() -> int:
    """Take a run into the queue from standard input; the same run twice is one run. Raises Refused.

    A request with secrets comes from root, which alone keeps them; all else is done as the queue's owner. A
    machine that the queue of the cluster has put the run on takes them from that queue (see secret_env).
    """
    request = json.loads(sys.stdin.buffer.readline())
    guest = records.guest()
    allowed = {each.name for each in fields(Record)} - OF_THE_QUEUE
    if guest:
        allowed |= {*records.OF_THE_MASTER, STANDING}
    if not isinstance(request, dict) or (unknown := set(request) - allowed):
        raise Refused(f"unknown keys in the request: {', '.join(sorted(unknown))}")
    secrets, standing = request.pop("secrets", {}), request.pop(STANDING, ())
    record = _record(request, tuple(sorted(secrets)))
    if guest:
        return _as_guest(record, secrets, standing)
    if why := placing.refusal(record, placing.machines_of(records.settings())):
        raise Refused(why)
    record = replace(record, sender=provenance.sender())
    return _by_root(record, secrets) if secrets else _take_in(record)


def _as_guest(record: Record, secrets: Mapping[str, str], standing: Collection[str]) -> int:
    """Take in what the queue of the cluster has put on this machine; what else it had here is over."""
    for other in records.every():  # the connection was lost when they were cancelled
        if other.state not in FINAL and other.run not in {record.run, *standing}:
            cancelling.cancel(other.run)
    if secrets:
        secret_env.hand_over(record.run, secrets)
    return _take_in(record)


def _by_root(record: Record, secrets: Mapping[str, str]) -> int:
    if os.geteuid():
        raise Refused("secrets are taken from root alone")
    secret_env.keep(record.run, secrets)
    if (child := os.fork()) == 0:
        records.become_owner()
        return _take_in(record)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        secret_env.forget(record.run)
    return status


def _record(request: Mapping[str, Any], secrets: tuple[str, ...]) -> Record:
    lists = {name: tuple(request.get(name, ())) for name in ("args", "machines", "requirements")}
    record = Record(**{**request, **lists}, secrets=secrets, submitted=time.time())
    records.folder(record.run)  # refuses what is no run
    try:
        layout.require(record.spark)
    except ValueError as error:
        raise Refused(str(error)) from error
    if record.kind not in records.KINDS:
        raise Refused(f"unknown kind of job {record.kind!r}")
    for name in ("cores", "memory_mb"):
        asked = getattr(record, name)
        if isinstance(asked, bool) or not isinstance(asked, int) or not 0 <= asked <= MOST:
            raise Refused(f"{name} is a whole number, not {str(asked)[:40]!r}")
    return record


def _take_in(record: Record) -> int:
    home = records.folder(record.run)
    if not home.exists():
        fresh = records.ROOT / "runs" / f".{record.run}.{os.getpid()}"
        try:
            _unpack(record, fresh)
            records.write(record if records.guest() else _told(record, fresh), fresh)
            fresh.rename(home)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    records.notify(record.run, "submit")
    print(json.dumps(records.describe(records.load(record.run))))
    return 0


def _told(record: Record, home: Path) -> Record:
    """Return the record with what is known of what came."""
    asked = home / "requirements.txt"
    lines = asked.read_text(errors="replace").splitlines() if asked.is_file() else []
    return replace(
        record,
        code=provenance.digest(home / "code"),
        requirements=tuple(line.strip() for line in lines if line.strip()),
    )


def _unpack(record: Record, target: Path) -> None:
    target.mkdir()
    (target / "code").mkdir()
    (target / "log").touch()
    if record.kind == "builtin" and not records.guest():
        jobs = Path(str(records.settings()["jobs"]))
        if not (jobs / record.name / record.entry).is_file():
            raise Refused(f"there is no built-in job {record.name}")
        for source in (jobs / records.SHARED, jobs / record.name):
            shutil.copytree(
                source, target / "code", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
    try:
        unpack(sys.stdin.buffer, target, most_files=MOST_FILES, most_bytes=MOST_BYTES)
    except BadArchive as error:
        raise Refused(f"what was submitted is not taken in: {error}") from error
