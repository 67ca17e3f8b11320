"""The queue: one run at a time, in the order of submission.

`dispatch` is the only part that runs as root, started by systemd whenever the folder `queue` is not empty and
after a boot. It reads what the user `hadoop` wrote, starts and stops units by checked names, and writes
nothing; it only removes the notes in `queue`, and the secrets of what waits no more.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time

from muster_node.queue import records, secret_env, verdict
from muster_node.queue.records import QUEUED, RUNNING, Record

DEADLINE_S = 60.0
"""How long a unit may take to vanish after its end (it parses its log then)."""
USER_S = 30.0
"""How long it may take to write down how a run ended, which a job can hold up."""
UNIT = "muster-job@{run}.service"


def dispatch() -> None:
    """Stop what was cancelled, give up what a restart killed, start the next run when none runs."""
    while True:
        notes = _take_notes()
        for note in notes:
            if note.endswith(".cancel"):
                _systemctl("stop", UNIT.format(run=note.removesuffix(".cancel")))
        _settle()
        busy = active()
        everything = records.every()
        for record in everything:
            if record.state == RUNNING and UNIT.format(run=record.run) not in busy:
                as_user("finish", record.run, verdict.VANISHED, within_s=USER_S)
        waiting = next_run(everything, busy=bool(busy))
        if waiting is not None:
            _systemctl("start", UNIT.format(run=waiting.run))
        forget_secrets(everything, started=waiting)
        if not notes:
            return


def next_run(everything: list[Record], *, busy: bool) -> Record | None:
    """Return the run to start now, or None."""
    return None if busy else next((record for record in everything if record.state == QUEUED), None)


def forget_secrets(everything: list[Record], *, started: Record | None) -> None:
    """Forget the secrets of runs that wait no more: what was started has got its own."""
    waiting = [record.run for record in everything if record.state == QUEUED and record is not started]
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


def _systemctl(verb: str, unit: str) -> None:
    subprocess.run(["systemctl", verb, unit], stdin=subprocess.DEVNULL, check=False)


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
