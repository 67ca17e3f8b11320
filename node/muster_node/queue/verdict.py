"""How a run ended: read from what its runner, the unit and the kernel left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from muster_node import files
from muster_node.queue import placements, reason, records
from muster_node.queue.records import CANCELLED, FAILED, FINAL, QUEUED, RUNNING, SUCCEEDED, Record

CANCEL, CHECKPOINT, EXIT, OOM_KILLS = "cancel", "checkpoint", "exit.json", "oom_kills"
"""Files in a run's folder: the user cancels it; the program was asked to checkpoint, for the machines end;
how the program ended; how many processes the kernel had killed for memory when it began."""
LOST = "lost.json"
"""Another one: the names of results that were not copied to HDFS."""
SHOWN = 5
"""So many of them are named in a reason."""
TIME_OVER = "the cluster's time was over (ttl, budget or autostop); what it had written is in its results"
VANISHED = "vanished"
"""Instead of systemd's $SERVICE_RESULT: nobody saw the unit's end."""
VMSTAT = Path("/proc/vmstat")


@dataclass(frozen=True)
class Exit:
    """How a program ended: its exit status, or the signal that killed it. None and 0: nobody knows.

    `reason`: why it failed, where another machine has found that out.
    """

    status: int | None = None
    signal: int = 0
    reason: str = ""

    @classmethod
    def of(cls, returncode: int) -> Exit:
        """Read what subprocess says."""
        return cls(returncode) if returncode >= 0 else cls(None, -returncode)

    @classmethod
    def read(cls, home: Path) -> Exit:
        """Read what the runner has noted, if it came to that."""
        noted = _noted(home / EXIT)
        known = noted if isinstance(noted, dict) else {}
        status, killed, why = known.get("status"), known.get("signal"), known.get("reason")
        return cls(
            status if isinstance(status, int) else None,
            killed if isinstance(killed, int) else 0,
            why if isinstance(why, str) else "",
        )

    def note(self, home: Path) -> None:
        """Write it down for `finish`, which may be another process."""
        files.write(home / EXIT, json.dumps(asdict(self)))


def note_oom_kills(home: Path) -> None:
    """Note, before a program starts, how many processes the kernel has killed for memory."""
    files.write(home / OOM_KILLS, str(_oom_kills()))


def note_lost(home: Path, names: Sequence[str]) -> None:
    """Write down which results were not copied to HDFS, for `finish`."""
    files.write(home / LOST, json.dumps(names))


def finish(run_id: str, result: str) -> Record:
    """Write down how a run ended. Nothing that a job has put in place of its files holds this up.

    Args:
        run_id: the run.
        result: systemd's $SERVICE_RESULT (success, exit-code, signal, oom-kill …), or VANISHED.
    """
    record = records.load(run_id)
    home = records.folder(run_id)
    if record.state in FINAL or _goes_on_elsewhere(record, home, result):
        return record
    ended = Exit.read(home)
    state, why = judge(home, ended, result)
    ended_at = time.time()
    seconds = replace(record, ended=ended_at).seconds(ended_at)
    line = f"muster-job: {state}{f': {why}' if state == FAILED else f' after {seconds:.0f} s'}\n"
    if records.guest():  # the queue that has put it here says so
        line = ""
    with suppress(OSError):  # before the state: who follows the log stops at the state
        log = files.open_found(home / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with os.fdopen(log, "a", encoding="utf-8", errors="replace") as file:
            file.write(line)
    return records.change(
        run_id,
        only_from=frozenset((QUEUED, RUNNING)),
        state=state,
        reason=why,
        ended=ended_at,
        exit_status=ended.status,
    )


def judge(home: Path, ended: Exit, result: str) -> tuple[str, str]:
    """Return a run's final state, and why in one line ('' when it succeeded). See `finish`."""
    if (home / CANCEL).exists():
        return CANCELLED, "cancelled"
    lost = _lost(home)
    if ended.status == 0:
        return (FAILED, f"the program ended well, but {lost}") if lost else (SUCCEEDED, "")
    if (home / CHECKPOINT).exists():
        return FAILED, TIME_OVER
    if ended.reason:
        return FAILED, f"{ended.reason}; and {lost}" if lost else ended.reason
    if result == VANISHED or _machine_stops():
        return FAILED, "machine restarted while it ran; submit it again"
    killed = ended.signal or (signal.SIGKILL if result == "signal" else 0)
    by_kill = killed == signal.SIGKILL or ended.status == 128 + signal.SIGKILL
    memory = result == "oom-kill" or (by_kill and _memory_ran_out(home))
    log = _tail(home / "log")
    why = reason.find(log, status=ended.status, signal=killed, out_of_memory=memory)
    return FAILED, f"{why}; and {lost}" if lost else why


def _noted(path: Path) -> object:
    """Return what a note of ours about a run says, None when there is none that is sound."""
    try:
        noted: object = json.loads(files.read_found(path, most_bytes=records.LARGEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return noted


def _lost(home: Path) -> str:
    """Return which results were not copied to HDFS, '' when all were."""
    noted = _noted(home / LOST)
    names = [name for name in noted if isinstance(name, str)] if isinstance(noted, list) else []
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = ", ".join(name.encode(errors="backslashreplace").decode() for name in names[:SHOWN])
    return f"{len(names)} of its results are not in HDFS: {shown}{more} (the log says why)"


def _tail(log: Path) -> str:
    with suppress(OSError), os.fdopen(files.open_found(log), "rb") as handle:
        handle.seek(max(os.fstat(handle.fileno()).st_size - reason.TAIL_BYTES, 0))
        return handle.read(reason.TAIL_BYTES).decode("utf-8", "replace")
    return ""


def _oom_kills() -> int:
    """Return how many processes the kernel has killed for memory since its boot."""
    found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _memory_ran_out(home: Path) -> bool:
    """Return True when the kernel killed something for memory while this run ran."""
    before = _noted(home / OOM_KILLS)
    return isinstance(before, int) and _oom_kills() > before


def to_end(home: Path) -> bool:
    """Return whether a run was cancelled, or asked to checkpoint and end."""
    return any((home / name).exists() for name in (CANCEL, CHECKPOINT))


def _goes_on_elsewhere(record: Record, home: Path, result: str) -> bool:
    """Return whether only what follows a run on another machine has ended: it is taken up again."""
    there = placements.elsewhere(placements.of(record.run)) is not None
    noted = (home / EXIT).exists() or to_end(home)
    return there and record.state == RUNNING and not noted and result in ("success", "signal")


def _machine_stops() -> bool:
    done = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "stopping"
