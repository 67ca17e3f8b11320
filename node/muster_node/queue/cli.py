"""`muster-job`: what one can ask of the queue, on the master, as the user `hadoop`."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Sequence

from muster_node.queue import (
    away,
    cancelling,
    comparing,
    dispatch,
    explain,
    intake,
    progress,
    records,
    results,
    runner,
    shutdown,
    tracked,
    upload,
    verdict,
    wire,
)
from muster_node.queue.records import CANCELLED, FAILED, FINAL, QUEUED, SUCCEEDED, Record, Refused
from muster_node.tracking.settings import Settings, Untracked

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
        ("checkpoint", "ask a run to checkpoint and end"),
        ("bundle", "run, log and results as tar"),
        ("forget", "remove all that there is of a run that has ended"),
    ):
        verbs.add_parser(verb, help=text).add_argument("run")
    follow = verbs.add_parser("follow", help="print a run's log until it ends")
    follow.add_argument("run")
    follow.add_argument("--offset", type=int, default=0, help="bytes of the log to skip")
    follow.add_argument("--progress", action="store_true", help="say how far it is on standard error")
    follow.add_argument("--no-wait", action="store_true", help="only what is there now")
    verbs.add_parser(
        "submit", help="read a request (one line of JSON, then a tar archive) from standard input"
    )
    verbs.add_parser("run").add_argument("run")
    finish = verbs.add_parser("finish")
    finish.add_argument("run")
    finish.add_argument("result", nargs="?", default=os.environ.get("SERVICE_RESULT", "success"))
    verbs.add_parser("dispatch")
    verbs.add_parser("away").add_argument("run")
    verbs.add_parser("wire", help="what the queue of the cluster's master asks for by SSH")
    verbs.add_parser("report")
    compared = verbs.add_parser("compare", help="what MLflow knows of runs as JSON")
    compared.add_argument("names", nargs="*")
    compared.add_argument("--where", default="", help="as MLflow searches: metrics.accuracy > 0.9")
    explained = verbs.add_parser("explain", help="run a program and, when it fails, say why in one line")
    explained.add_argument("program", nargs=argparse.REMAINDER)
    for verb in ("shutdown", "upload"):
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
    print(json.dumps(records.describe(records.load(asked.run), whole=True)))
    return 0


def cancel(asked: argparse.Namespace) -> int:
    """Stop a run or take it out of the queue, and wait until it has ended."""
    record = records.load(asked.run)
    if record.state in FINAL:
        raise Refused(
            f"{asked.run} has already {record.state if record.state != CANCELLED else 'been cancelled'}"
        )
    record = cancelling.cancel(asked.run)
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
            text = _waiting(record) if record.state == QUEUED else said
            if asked.progress:
                text = progress.MARK.decode() + progress.last(records.folder(asked.run))
            if text != said:
                said = text
                print(text, file=sys.stderr, flush=True)
            time.sleep(POLL_S)


def _waiting(record: Record) -> str:
    before = records.ahead(record.run)
    return f"queued, {len(before)} ahead: {', '.join(other.run for other in before)}" if before else ""


def bundle(asked: argparse.Namespace) -> int:
    """Write run.json, log and results as a tar archive to standard output.

    Of the environment it has the names. Files only, and those that links lead to: nothing else is taken in.
    """
    home = records.folder(asked.run)
    record = (json.dumps(records.describe(records.load(asked.run), whole=True), indent=1) + "\n").encode()
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", dereference=True) as archive:
        member = tarfile.TarInfo("run.json")
        member.size = len(record)
        archive.addfile(member, io.BytesIO(record))
        for path in (home / "log", *results.files(home / "results")):
            with contextlib.suppress(PermissionError):  # before anything of it was written
                archive.add(path, arcname=str(path.relative_to(home)), recursive=False)
    return 0


def checkpoint(asked: argparse.Namespace) -> int:
    """Ask a run's runner, a process of the same user, to let its program checkpoint and end."""
    records.folder(asked.run)  # refuses what is no run
    unit = dispatch.HERE.format(run=asked.run)
    done = subprocess.run(
        ["systemctl", "show", "--value", "--property=MainPID", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    if (pid := done.stdout.strip()).isdigit() and int(pid):
        os.kill(int(pid), signal.SIGUSR1)
    return 0


def forget(asked: argparse.Namespace) -> int:
    """Remove the folder of a run that has ended, on a machine that the queue had put it on."""
    if records.guest() and records.load(asked.run).state in FINAL:
        shutil.rmtree(records.folder(asked.run), ignore_errors=True)
    return 0


def answer_wire(_: argparse.Namespace) -> int:
    """Do what the key of the queue may ask for."""
    try:
        return main(wire.asked(os.environ.get("SSH_ORIGINAL_COMMAND", "")))
    except ValueError as error:
        raise Refused(str(error)) from error


def finish(asked: argparse.Namespace) -> int:
    """Write down how a run ended, and wake the queue."""
    verdict.finish(asked.run, asked.result)
    records.notify(asked.run, "ended")
    return 0


def start_next(_: argparse.Namespace) -> int:
    """Start the next run, and do what else the queue's notes ask for."""
    dispatch.dispatch()
    return 0


def report(_: argparse.Namespace) -> int:
    """Tell MLflow of runs that have ended."""
    try:
        settings = Settings.load()
        for run in tracked.report(settings) if settings else ():
            print(f"{run} is tracked")
    except Untracked as error:
        raise Refused(str(error)) from error
    return 0


def compare(asked: argparse.Namespace) -> int:
    """Print what MLflow knows of runs as JSON."""
    print(json.dumps(comparing.compare(asked.names, asked.where)))
    return 0


def end_machines(asked: argparse.Namespace) -> int:
    """Let jobs checkpoint, then upload: the machines end."""
    shutdown.shutdown(asked.deadline)
    return 0


def upload_all(asked: argparse.Namespace) -> int:
    """Upload results and event logs to object storage; what went wrong is printed."""
    uploaded, wrong = upload.upload(records.settings(), asked.deadline)
    print(f"{uploaded} files uploaded to object storage")
    for line in wrong:
        print(f"not uploaded: {line}", file=sys.stderr)
    return 1 if wrong else 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": list_runs,
    "show": show,
    "submit": lambda _: intake.submit(),
    "cancel": cancel,
    "follow": follow,
    "bundle": bundle,
    "checkpoint": checkpoint,
    "forget": forget,
    "wire": answer_wire,
    "away": lambda asked: away.run(asked.run),
    "explain": lambda asked: explain.explain(asked.program),
    "run": lambda asked: runner.run(asked.run),
    "finish": finish,
    "dispatch": start_next,
    "report": report,
    "compare": compare,
    "shutdown": end_machines,
    "upload": upload_all,
}
