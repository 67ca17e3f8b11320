"""`muster-job`: what one can ask of the queue, on the master, as the user `hadoop`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from muster_job import farewell, keep, queue, reason, records, runner
from muster_job.records import CANCELLED, FAILED, FINAL, QUEUED, SUCCEEDED, Record, Refused

POLL_S = 0.2
STATUS = {SUCCEEDED: 0, FAILED: 1, CANCELLED: 3}
"""Exit status of `follow` for each final state; 2 = the request was refused."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="muster-job", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    verbs.add_parser("list", help="all runs, the oldest first").add_argument("--json", action="store_true")
    for verb, text in (
        ("show", "one run as JSON"),
        ("cancel", "stop a run"),
        ("bundle", "run, log and results as tar"),
    ):
        verbs.add_parser(verb, help=text).add_argument("run")
    follow = verbs.add_parser("follow", help="print a run's log until it ends")
    follow.add_argument("run")
    follow.add_argument("--offset", type=int, default=0, help="bytes of the log to skip")
    follow.add_argument("--no-wait", action="store_true", help="only what is there now")
    verbs.add_parser(
        "submit", help="read a request (one line of JSON, then a tar archive) from standard input"
    )
    verbs.add_parser("run").add_argument("run")
    finish = verbs.add_parser("finish")
    finish.add_argument("run")
    finish.add_argument("result", nargs="?", default=os.environ.get("SERVICE_RESULT", "success"))
    verbs.add_parser("dispatch")
    explained = verbs.add_parser("explain", help="run a program and, when it fails, say why in one line")
    explained.add_argument("program", nargs=argparse.REMAINDER)
    for verb in ("farewell", "keep"):
        verbs.add_parser(verb).add_argument("deadline", type=float)
    asked = parser.parse_args(argv)
    try:
        return COMMANDS[asked.verb](asked)
    except Refused as error:
        print(f"muster-job: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def list_runs(asked: argparse.Namespace) -> int:
    """Print all runs."""
    found = [records.describe(record) for record in records.every()]
    if asked.json:
        print(json.dumps(found))
        return 0
    for run in found:
        print(f"{run['run']:45} {run['state']:10} {run['seconds']:8.1f} s  {run['reason']}")
    return 0


def show(asked: argparse.Namespace) -> int:
    """Print one run as JSON."""
    print(json.dumps(records.describe(records.load(asked.run))))
    return 0


def submit(_: argparse.Namespace) -> int:
    """Take a run into the queue; the same run twice is one run."""
    request = json.loads(sys.stdin.buffer.readline())
    known = {each.name for each in fields(Record)} - {
        "state",
        "submitted",
        "started",
        "ended",
        "exit_status",
        "boot",
    }
    if not isinstance(request, dict) or (unknown := set(request) - known):
        raise Refused(f"unknown keys in the request: {', '.join(sorted(unknown))}")
    record = Record(**{**request, "args": tuple(request.get("args", ())), "submitted": time.time()})
    home = records.folder(record.run)
    if record.kind not in records.KINDS:
        raise Refused(f"unknown kind of job {record.kind!r}")
    if not home.exists():
        fresh = records.ROOT / "runs" / f".{record.run}.{os.getpid()}"
        try:
            _unpack(record, fresh)
            records.write(record, fresh)
            fresh.rename(home)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    records.notify(record.run, "submit")
    print(json.dumps(records.describe(records.load(record.run))))
    return 0


def _unpack(record: Record, target: Path) -> None:
    target.mkdir()
    (target / "code").mkdir()
    (target / "log").touch()
    if record.kind == "builtin":
        source = Path(str(runner.settings()["jobs"])) / record.name
        if not (source / record.entry).is_file():
            raise Refused(f"there is no built-in job {record.name}")
        shutil.copytree(
            source, target / "code", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        archive.extractall(target, filter="data")


def cancel(asked: argparse.Namespace) -> int:
    """Stop a run or take it out of the queue, and wait until it has ended."""
    record = records.load(asked.run)
    if record.state in FINAL:
        raise Refused(
            f"{asked.run} has already {record.state if record.state != CANCELLED else 'been cancelled'}"
        )
    (records.folder(asked.run) / "cancel").touch()
    record = records.change(
        asked.run, only_from=frozenset((QUEUED,)), state=CANCELLED, reason="cancelled", ended=time.time()
    )
    if record.state not in FINAL:
        records.notify(asked.run, "cancel")
        end = time.monotonic() + queue.DEADLINE_S
        while (record := records.load(asked.run)).state not in FINAL:
            if time.monotonic() > end:
                raise Refused(f"{asked.run} did not end within {queue.DEADLINE_S:.0f} s")
            time.sleep(POLL_S)
    print(json.dumps(records.describe(record)))
    return 0


def follow(asked: argparse.Namespace) -> int:
    """Print the log from `offset` on until the run has ended; what it waits for goes to standard error."""
    log, said = records.folder(asked.run) / "log", ""
    records.load(asked.run)
    with log.open("rb") as handle:
        handle.seek(asked.offset)
        while True:
            record = records.load(asked.run)
            while block := handle.read(65536):
                sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
            if asked.no_wait:
                return 0
            if record.state in FINAL:  # the last line is written before the state
                return STATUS[record.state]
            if record.state == QUEUED and (text := _waiting(record)) != said:
                said = text
                print(text, file=sys.stderr, flush=True)
            time.sleep(POLL_S)


def _waiting(record: Record) -> str:
    before = records.ahead(record.run)
    return f"queued, {len(before)} ahead: {', '.join(other.run for other in before)}" if before else ""


def bundle(asked: argparse.Namespace) -> int:
    """Write run.json, log and results as a tar archive to standard output."""
    home = records.folder(asked.run)
    records.load(asked.run)
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for name in ("run.json", "log", "results"):
            if (home / name).exists():
                archive.add(home / name, arcname=name)
    return 0


def explain(asked: argparse.Namespace) -> int:
    """Run a program as it is; when it fails, the last line of standard error says why."""
    done = subprocess.run(asked.program, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    sys.stderr.write(done.stderr)
    if done.returncode:
        print(reason.find(done.stderr[-reason.TAIL_BYTES :], status=done.returncode), file=sys.stderr)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def keep_all(asked: argparse.Namespace) -> int:
    """Copy results and event logs to object storage; what went wrong is printed."""
    copied, wrong = keep.keep(runner.settings(), asked.deadline)
    print(f"{copied} files copied to object storage")
    for line in wrong:
        print(f"not copied: {line}", file=sys.stderr)
    return 1 if wrong else 0


COMMANDS: dict[str, Any] = {
    "list": list_runs,
    "show": show,
    "submit": submit,
    "cancel": cancel,
    "follow": follow,
    "bundle": bundle,
    "explain": explain,
    "run": lambda asked: runner.run(asked.run),
    "finish": lambda asked: (runner.finish(asked.run, asked.result), records.notify(asked.run, "ended"), 0)[
        2
    ],
    "dispatch": lambda _: queue.dispatch() or 0,
    "farewell": lambda asked: farewell.farewell(asked.deadline) or 0,
    "keep": keep_all,
}
