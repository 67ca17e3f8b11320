"""Running one job until its end, step by step.

    PREPARE    environment, packages and command line -> START; refused -> NOTE
    START      the program begins -> WAIT; it cannot -> NOTE
    WAIT       until the program has ended -> LEFTOVERS
    LEFTOVERS  what it left behind, such as Spark's JVM, may tidy up -> NOTE
    NOTE       how it ended is written down -> PUBLISH; cancelled -> DONE
    PUBLISH    results go to HDFS -> DONE

SIGUSR1, at any time, asks for a checkpoint: the machines end (see shutdown.py). The program gets SIGTERM for
it; where there is none yet, none is begun.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import os
import signal
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from muster_node.queue import environment, placements, records, results, secret_env, verdict
from muster_node.queue.live import Live
from muster_node.queue.records import QUEUED, RUNNING, Record, Refused
from muster_node.queue.verdict import Exit

LEFTOVERS_S = 15.0
"""How long what a job left behind may go on, in seconds."""
PR_SET_CHILD_SUBREAPER = 36


class Step(enum.Enum):
    """What comes next; see the module."""

    PREPARE, START, WAIT, LEFTOVERS, NOTE, PUBLISH, DONE = range(7)


class Runner:
    """One run on its way through the steps. `log` is where everything is printed."""

    def __init__(self, record: Record, log: IO[bytes]) -> None:
        self.record = record
        self.log = log
        self.home: Path = records.folder(record.run)
        self.ended = Exit(1)
        self._environment: dict[str, str] = {}
        self._command: list[str] = []
        self._program: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Take all steps."""
        take = {
            Step.PREPARE: self._prepare,
            Step.START: self._start,
            Step.WAIT: self._wait,
            Step.LEFTOVERS: self._leftovers,
            Step.NOTE: self._note,
            Step.PUBLISH: self._publish,
        }
        step = Step.PREPARE
        while step is not Step.DONE:
            step = take[step]()

    def request_checkpoint(self, *_: object) -> None:
        """Ask the program to checkpoint and end; a handler of signals."""
        (self.home / verdict.CHECKPOINT).touch()
        if self._program is not None:
            self._program.terminate()

    def _prepare(self) -> Step:
        try:
            secrets = secret_env.handed_over(self.record.run, self.record.secrets)
            self._environment = environment.environ(self.record, self.home, self.log, secrets)
            self._command = environment.command(self.record, self.home / "code")
        except (Refused, OSError) as error:
            return self._refuse(error)
        return Step.START

    def _start(self) -> Step:
        if self._time_is_over():
            return self._refuse(Refused(verdict.TIME_OVER))
        try:
            self._program = subprocess.Popen(
                self._command, cwd=self.home / "code", env=self._environment,
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                preexec_fn=_default_sigterm,  # noqa: PLW1509  no thread runs here
            )  # fmt: skip
        except OSError as error:
            return self._refuse(error)
        if self._time_is_over():  # asked before there was a program to ask
            self._program.terminate()
        return Step.WAIT

    def _wait(self) -> Step:
        if self._program is not None:
            live = Live(self._environment, self.home)
            while self._program.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._program.wait(timeout=live.every_s)
                live.look()
            self.ended = Exit.of(self._program.returncode)
        return Step.LEFTOVERS

    def _leftovers(self) -> Step:
        """The unit's end would kill what the job left behind."""
        end = time.monotonic() + LEFTOVERS_S
        with contextlib.suppress(ChildProcessError):
            while time.monotonic() < end:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.05)
        return Step.NOTE

    def _note(self) -> Step:
        self.ended.note(self.home)
        return Step.DONE if (self.home / verdict.CANCEL).exists() else Step.PUBLISH

    def _publish(self) -> Step:
        publish(self.record, self.home, self.log)
        return Step.DONE

    def _refuse(self, error: Exception) -> Step:
        self.log.write(f"{error}\n".encode())
        return Step.NOTE

    def _time_is_over(self) -> bool:
        return (self.home / verdict.CHECKPOINT).exists()


def run(run_id: str) -> int:
    """Run a job until its end; returns its exit status.

    Called by the unit; `verdict.finish` says afterwards how it ended, also when this process was killed.
    """
    record = records.change(run_id, only_from=frozenset((QUEUED,)), state=RUNNING, **beginning(run_id))
    if record.state != RUNNING:
        return 0
    home = records.folder(run_id)
    verdict.note_oom_kills(home)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with (home / "log").open("ab", buffering=0) as log:
        runner = Runner(record, log)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the job gets it too; its end is still to be recorded
        signal.signal(signal.SIGUSR1, runner.request_checkpoint)
        runner.run()
    return runner.ended.status if runner.ended.status is not None else 128 + runner.ended.signal


def beginning(run_id: str) -> dict[str, Any]:
    """Return what a record gets when its run begins: the time, and what of the cluster it has."""
    began: dict[str, Any] = {"started": time.time(), "boot": records.boot_id()}
    place = placements.of(run_id)
    if place is None:
        return began
    machines = placements.machines(place)
    node = machines[0].name if machines else ""
    share = {} if place.whole else {"cores": place.cores, "memory_mb": place.memory_mb}
    return {**began, **share, "node": node, "machines": tuple(asdict(one) for one in machines)}


def publish(record: Record, home: Path, log: IO[bytes]) -> None:
    """Copy a run's results to HDFS, and note what of them could not be copied."""
    target = f"/results/{record.run}"
    verdict.note_lost(home, results.publish(home / "results", target, records.settings(), log))


def _default_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
