"""A run on another machine, seen from the queue: sent there, followed, its results fetched.

What it prints comes into its log here as it is printed, so that everything about it is here, as for any other
run. A connection that breaks is taken up where it broke; when this machine was restarted, too. A machine that
does not answer for GONE_S seconds is lost, and the run with it.

SIGTERM: it was cancelled, or this machine stops. SIGUSR1: the machines end, it may checkpoint.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from muster_node import files
from muster_node.archive import BadArchive, unpack
from muster_node.queue import (
    placements,
    progress,
    provenance,
    records,
    runner,
    secret_env,
    tracked,
    verdict,
    wire,
)
from muster_node.queue.placing import Machine
from muster_node.queue.records import QUEUED, RUNNING, Record, Refused
from muster_node.queue.verdict import Exit

GONE_S = 120.0
"""How long a machine may be silent; a restart takes less."""
AGAIN_S = 2.0
SAID_HERE = "said_here"
"""File in a run's folder: the bytes of its log that were written before it was sent."""
MOST_FILES, MOST_BYTES = 100_000, 64 << 30
"""Of a run's results."""


class Away:
    """One run on another machine. `log` is its log here, `again`: it was sent before."""

    def __init__(self, record: Record, machine: Machine, log: IO[bytes], *, again: bool) -> None:
        self.record = record
        self.machine = machine
        self.log = log
        self.home: Path = records.folder(record.run)
        self.ended = Exit()
        self._again = again
        self._cancelled = self._let_go = False
        self._heard = False
        self._ssh: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Send it, follow it, fetch what it leaves."""
        try:
            if not self._again:
                self._send()
            self._follow()
            if self._let_go:
                return
            self._fetch()
        except (Refused, BadArchive, OSError) as error:
            self.ended = Exit(None, reason=str(error))
        self.ended.note(self.home)
        if not (self.home / verdict.CANCEL).exists():
            runner.publish(self.record, self.home, self.log)

    def end(self, *_: object) -> None:
        """End the run, or, when only this process is to end, let go of it; a handler of signals."""
        self._cancelled = verdict.to_end(self.home)
        self._let_go = not self._cancelled
        if self._ssh is not None:
            self._ssh.terminate()

    def request_checkpoint(self, *_: object) -> None:
        """Ask the program to checkpoint and end; a handler of signals."""
        (self.home / verdict.CHECKPOINT).touch()
        threading.Thread(target=wire.ask, args=(self.machine, "checkpoint", self.record.run)).start()

    def _send(self) -> None:
        secrets = secret_env.handed_over(self.record.run, self.record.secrets)
        told = tracked.environ(self.record, self.log) if self.machine.near else tracked.apart(self.record.run)
        secrets = told | secrets
        files.write(self.home / SAID_HERE, str((self.home / "log").stat().st_size))
        header = records.leave(self.record, secrets=secrets, standing=placements.there(self.machine.name))
        with tempfile.TemporaryFile() as errors:
            ssh = subprocess.Popen(
                ["ssh", *wire.arguments(self.machine, "submit")],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
            assert ssh.stdin is not None  # noqa: S101  for the type checker
            with contextlib.suppress(BrokenPipeError):
                ssh.stdin.write(json.dumps(header).encode() + b"\n")
                with tarfile.open(fileobj=ssh.stdin, mode="w|", dereference=True) as archive:
                    for name in ("code", "requirements.txt"):
                        if (self.home / name).exists():
                            archive.add(self.home / name, arcname=name)
            with contextlib.suppress(BrokenPipeError):
                ssh.stdin.close()
            if ssh.wait():
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().splitlines() or ["it does not answer"]
                raise Refused(f"{self.machine.name} does not take the run: {said[-1]}")

    def _follow(self) -> None:
        """Copy what it prints until it has ended. Raises Refused: it is lost."""
        heard = time.monotonic()
        while not self._cancelled and not self._let_go:
            position = (self.home / "log").stat().st_size - self._said_here()
            words = ("follow", self.record.run, f"--offset={position}", "--progress")
            self._ssh = ssh = subprocess.Popen(
                ["ssh", *wire.arguments(self.machine, *words)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            assert isinstance(ssh.stdout, io.BufferedReader)  # noqa: S101  for the type checker
            assert ssh.stderr is not None  # noqa: S101
            said: list[str] = []
            listener = threading.Thread(target=self._listen, args=(ssh.stderr, said), daemon=True)
            listener.start()
            while block := ssh.stdout.read1(65536):
                self.log.write(block)
            status = ssh.wait()
            listener.join(timeout=1.0)
            if self._heard:
                heard, self._heard = time.monotonic(), False
            if status in (0, 1, 3):
                return
            if status != wire.LOST and not self._cancelled and not self._let_go:
                raise Refused(f"{self.machine.name}: {said[-1] if said else f'status {status}'}")
            if time.monotonic() - heard > GONE_S:
                raise Refused(self._lost)
            time.sleep(AGAIN_S)
        if self._cancelled:
            wire.ask(self.machine, "cancel", self.record.run)

    def _said_here(self) -> int:
        """Return how much of its log is not the other machine's."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.home / SAID_HERE).read_text())
        return 0

    def _listen(self, source: IO[bytes], said: list[str]) -> None:
        for line in source:
            if progress.passed_on(line, self.home):  # the first thing that it says
                self._heard = True
            else:
                said.append(line.decode(errors="replace").strip())

    def _fetch(self) -> None:
        """Bring its results here, and what is known there of its end. Raises Refused, BadArchive."""
        end = time.monotonic() + GONE_S
        while (status := self._bundle()) == wire.LOST and not self._cancelled:
            if time.monotonic() > end:
                raise Refused(self._lost)
            time.sleep(AGAIN_S)
        if status and not self._cancelled:
            raise Refused(f"{self.machine.name} did not give what the run has left there")
        wire.ask(self.machine, "forget", self.record.run)

    def _bundle(self) -> int:
        """Take in what the run has left; return the exit status of ssh. Raises BadArchive."""
        with tempfile.TemporaryDirectory(dir=self.home, prefix=".fetch-") as scratch:
            came, refused = Path(scratch), None
            ssh = subprocess.Popen(
                ["ssh", *wire.arguments(self.machine, "bundle", self.record.run)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            assert ssh.stdout is not None  # noqa: S101
            try:
                unpack(ssh.stdout, came, most_files=MOST_FILES, most_bytes=MOST_BYTES)
            except BadArchive as error:
                refused = error
            ssh.stdout.close()
            if status := ssh.wait():
                return status
            if refused:
                raise refused
            if (came / "results").is_dir():
                shutil.rmtree(self.home / "results", ignore_errors=True)
                (came / "results").replace(self.home / "results")
            told = json.loads((came / "run.json").read_bytes())
            files.write(self.home / provenance.PACKAGES, json.dumps(told.get("packages", {})))
            self.ended = _end_of(told)
        return 0

    @property
    def _lost(self) -> str:
        return f"{self.machine.name} has not answered for {GONE_S:.0f} s: the run is lost; submit it again"


def _end_of(told: dict[str, Any]) -> Exit:
    """Return how a run ended as its machine has it. Raises Refused when that makes no sense."""
    status, reason = told.get("exit_status"), told.get("reason")
    if not isinstance(status, int | None) or not isinstance(reason, str):
        raise Refused("what its machine says of its end makes no sense")
    return Exit(0 if told.get("state") == records.SUCCEEDED else status or None, reason=reason)


def run(run_id: str) -> int:
    """Have a run on the machine where it was put. Called by its unit."""
    before = records.load(run_id)
    machine = placements.elsewhere(placements.of(run_id))
    if machine is None:
        raise Refused(f"{run_id} was not put on another machine")
    record = records.change(run_id, only_from=frozenset((QUEUED,)), state=RUNNING, **runner.beginning(run_id))
    if record.state != RUNNING:
        return 0
    with (records.folder(run_id) / "log").open("ab", buffering=0) as log:
        away = Away(record, machine, log, again=before.state == RUNNING)
        signal.signal(signal.SIGTERM, away.end)
        signal.signal(signal.SIGUSR1, away.request_checkpoint)
        away.run()
    return 0
