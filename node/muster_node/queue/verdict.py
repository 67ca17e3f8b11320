"""How a run ended: read from what its runner, the unit and the kernel left behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from muster_node.queue import reason, records
from muster_node.queue.records import CANCELLED, FAILED, FINAL, QUEUED, RUNNING, SUCCEEDED, Record

CANCEL, CHECKPOINT, EXIT, OOM_KILLS = "cancel", "checkpoint", "exit.json", "oom_kills"
"""Files in a run's folder: the user cancels it; the program was asked to checkpoint, for the machines end;
how the program ended; how many processes the kernel had killed for memory when it began."""
TIME_OVER = "the cluster's time was over (ttl, budget or autostop); what it had written is in its results"
VANISHED = "vanished"
"""Instead of systemd's $SERVICE_RESULT: nobody saw the unit's end."""
VMSTAT = Path("/proc/vmstat")


@dataclass(frozen=True)
class Exit:
    """How a program ended: its exit status, or the signal that killed it. None and 0: nobody knows."""

    status: int | None = None
    signal: int = 0

    @classmethod
    def of(cls, returncode: int) -> Exit:
        """Read what subprocess says."""
        return cls(returncode) if returncode >= 0 else cls(None, -returncode)

    @classmethod
    def read(cls, home: Path) -> Exit:
        """Read what the runner has noted, if it came to that."""
        path = home / EXIT
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def note(self, home: Path) -> None:
        """Write it down for `finish`, which may be another process."""
        (home / EXIT).write_text(json.dumps({"status": self.status, "signal": self.signal}))


def note_oom_kills(home: Path) -> None:
    """Note, before a program starts, how many processes the kernel has killed for memory."""
    (home / OOM_KILLS).write_text(str(_oom_kills()))


def finish(run_id: str, result: str) -> Record:
    """Write down how a run ended.

    Args:
        run_id: the run.
        result: systemd's $SERVICE_RESULT (success, exit-code, signal, oom-kill …), or VANISHED.
    """
    record = records.load(run_id)
    if record.state in FINAL:
        return record
    home = records.folder(run_id)
    ended = Exit.read(home)
    state, why = judge(home, ended, result)
    ended_at = time.time()
    seconds = replace(record, ended=ended_at).seconds(ended_at)
    with (home / "log").open("a") as log:  # before the state: who follows the log stops at the state
        log.write(f"muster-job: {state}{f': {why}' if state == FAILED else f' after {seconds:.0f} s'}\n")
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
    if ended.status == 0:
        return SUCCEEDED, ""
    if (home / CHECKPOINT).exists():
        return FAILED, TIME_OVER
    if result == VANISHED or _machine_stops():
        return FAILED, "machine restarted while it ran; submit it again"
    killed = ended.signal or (signal.SIGKILL if result == "signal" else 0)
    by_kill = killed == signal.SIGKILL or ended.status == 128 + signal.SIGKILL
    memory = result == "oom-kill" or (by_kill and _memory_ran_out(home))
    log = _tail(home / "log")
    return FAILED, reason.find(log, status=ended.status, signal=killed, out_of_memory=memory)


def _tail(log: Path) -> str:
    if not log.exists():
        return ""
    with log.open("rb") as handle:
        handle.seek(max(log.stat().st_size - reason.TAIL_BYTES, 0))
        return handle.read().decode("utf-8", "replace")


def _oom_kills() -> int:
    """Return how many processes the kernel has killed for memory since its boot."""
    found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _memory_ran_out(home: Path) -> bool:
    """Return True when the kernel killed something for memory while this run ran."""
    before = home / OOM_KILLS
    return before.exists() and _oom_kills() > int(before.read_text() or 0)


def _machine_stops() -> bool:
    done = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "stopping"
