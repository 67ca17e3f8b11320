"""The queue: runs begin in the order of submission, each once its machines are free (see placing).

`dispatch` is the only part that runs as root, started by systemd whenever the folder `queue` is not empty and
after a boot. It reads what the user `hadoop` wrote, starts and stops units by checked names, and writes only
where it has put which run (see placements); it removes the notes in `queue`, and the secrets of what waits no
more.

A run on this machine is a unit muster-job@RUN. For one on another machine muster-away@RUN runs here (see
away), and there, where the same program starts whatever was put on it, muster-job@RUN.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

from muster_node.queue import placements, placing, records, secret_env, verdict
from muster_node.queue.placing import Machine, Place
from muster_node.queue.records import QUEUED, RUNNING, Record
from muster_node.tracking import settings as tracking

DEADLINE_S = 60.0
"""How long a unit may take to vanish after its end (it parses its log then)."""
USER_S = 30.0
"""How long it may take to write down how a run ended, which a job can hold up."""
ANSWERS_S = 3.0
"""How long another machine may take to answer."""
AGAIN_S = 20
"""After which a run that waits for a machine that does not answer is looked at again."""
HERE, AWAY = "muster-job@{run}.service", "muster-away@{run}.service"
SSH_PORT = 22
LIMITS = Path("/run/systemd/system.control")
REPORT = "muster-tracking.service"
"""Tells MLflow of runs that have ended, where there is one."""


def dispatch() -> None:
    """Stop what was cancelled, go on with or give up what a restart has cut off, start what can start."""
    while True:
        notes = _take_notes()
        for note in notes:
            if note.endswith(".cancel"):
                for unit in (HERE, AWAY):
                    _systemctl("stop", unit.format(run=note.removesuffix(".cancel")))
        _settle()
        busy = {_run_of(unit) for unit in active()}
        everything = records.every()
        for record in everything:
            if record.state == RUNNING and record.run not in busy:
                _take_up(record)
        begun = begin(everything, busy)
        for record, place in begun:
            _start(record.run, place)
        _forget_limits({*busy, *(record.run for record, _ in begun)})
        forget_secrets(everything, started=[record for record, _ in begun])
        if tracking.FILE.exists():
            _systemctl("start", "--no-block", REPORT)
        if not notes:
            return


def begin(everything: list[Record], busy: Collection[str]) -> list[tuple[Record, Place]]:
    """Return the runs to start now and where, and note that; a machine that was given a run asks for nothing.

    Args:
        everything: all runs, the oldest first.
        busy: those whose units are there.
    """
    waiting = [record for record in everything if record.state == QUEUED and record.run not in busy]
    if records.guest():
        name = str(records.settings()["name"])
        return [(record, Place((name,), record.cores, record.memory_mb)) for record in waiting]
    going_on = {*busy, *(record.run for record in everything if record.state == RUNNING)}
    machines = placing.machines_of(records.settings())
    everywhere = Place(tuple(one.name for one in placing.whole(machines)))
    held = [placements.of(run) or everywhere for run in going_on]
    begun = placing.place(placing.in_turn(waiting, everything, going_on), held, machines, _answers)
    for record, place in begun:
        placements.keep(record.run, place)
    placements.forget_all_but({*going_on, *(record.run for record in waiting)})
    return begun


def _start(run: str, place: Place) -> None:
    if placements.elsewhere(place):
        _systemctl("start", AWAY.format(run=run))
        return
    unit = HERE.format(run=run)
    if not place.whole:
        limits = [f"MemoryMax={place.memory_mb}M", f"CPUQuota={100 * place.cores}%"]
        subprocess.run(["systemctl", "set-property", "--runtime", unit, *limits], check=False)
    _systemctl("start", unit)


def _forget_limits(going_on: Collection[str]) -> None:
    """Remove what `set-property` has left of runs that are over."""
    for path in LIMITS.glob("muster-job@*.service.d"):
        if _run_of(path.name.removesuffix(".d")) not in going_on:
            shutil.rmtree(path, ignore_errors=True)


def _take_up(record: Record) -> None:
    """Go on with a run whose unit is gone: what runs on another machine is followed again."""
    if placements.elsewhere(placements.of(record.run)):
        _systemctl("start", AWAY.format(run=record.run))
    else:
        as_user("finish", record.run, verdict.VANISHED, within_s=USER_S)


def _answers(machine: Machine) -> bool:
    """Return whether a machine can be reached; when it cannot, the queue looks again by itself."""
    if machine.name == records.settings().get("name"):
        return True
    with contextlib.suppress(OSError), socket.create_connection((machine.address, SSH_PORT), ANSWERS_S):
        return True
    later = ["--collect", "--unit=muster-jobs-again", f"--on-active={AGAIN_S}"]
    subprocess.run(
        ["systemd-run", "--quiet", *later, "systemctl", "start", "--no-block", "muster-jobs.service"],
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    return False


def _run_of(unit: str) -> str:
    return unit.partition("@")[2].removesuffix(".service")


def forget_secrets(everything: list[Record], *, started: Collection[Record]) -> None:
    """Forget the secrets of runs that wait no more: what was started has got its own."""
    waiting = [record.run for record in everything if record.state == QUEUED and record not in started]
    secret_env.forget_all_but(waiting, [record.run for record in everything])


def _take_notes() -> list[str]:
    taken = []
    for path in sorted((records.ROOT / "queue").iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)  # no note: it would wake the queue for ever
        else:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            if records.RUN_ID.fullmatch(path.name.rpartition(".")[0]):
                taken.append(path.name)
    return taken


def _units(*states: str) -> set[str]:
    done = subprocess.run(
        [
            "systemctl",
            "list-units",
            "--plain",
            "--no-legend",
            f"--state={','.join(states)}",
            "muster-job@*.service",
            "muster-away@*.service",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split()[0] for line in done.stdout.splitlines() if line.strip()}


def active() -> set[str]:
    """Return the units of the runs that have begun and not ended."""
    return _units("active", "activating", "deactivating", "reloading")


def _settle() -> None:
    """Wait until no unit is on its way down."""
    end = time.monotonic() + DEADLINE_S
    while _units("deactivating") and time.monotonic() < end:
        time.sleep(0.1)


def _systemctl(*words: str) -> None:
    subprocess.run(["systemctl", *words], stdin=subprocess.DEVNULL, check=False)


def as_user(*words: str, within_s: float | None = None) -> None:
    """Run `muster-job WORDS` as the user whom runs belong to; what takes longer is ended."""
    owner = (records.ROOT / "runs").stat()
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-I", sys.argv[0], *words],
            user=owner.st_uid,
            group=owner.st_gid,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=within_s,
        )
