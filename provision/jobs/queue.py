"""The way to the queue of jobs on the master: asking it, sending to it, following a run, fetching results.

Everything goes over SSH with the cluster's own ssh_config (pinned host keys) to `muster-job`, as `hadoop`.
Jobs run as that user too, and may have put anything in its place: what comes back is checked.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from muster_node.archive import BadArchive, unpack
from muster_node.queue import records
from provision.core.errors import MusterError, NotReady, Unreachable
from provision.core.names import JOB_USER, LOGIN_USER, MASTER
from provision.core.untrusted import parse_json
from provision.core.wait import until
from provision.jobs import answers
from provision.jobs.request import JobRequest
from provision.ssh.files import ssh_config
from provision.ssh.run import BATCH, SSH_FAILED, failure, ssh_command
from provision.state.folder import State

PROGRAM = "/opt/muster/bin/muster-job"
RECONNECT_S = 300.0
"""How long a lost connection is tried again before following gives up (the job goes on)."""
NO_PROGRAM = 127
MOST_FILES, MOST_BYTES = 100_000, 64 << 30
"""Of one run's results, which come from a machine that jobs have been on."""
ENDS_WITHIN_S = 10.0
"""How long ssh may take to end after the last byte."""
Sink = Callable[[bytes], object]


@dataclass(frozen=True)
class Queue:
    """Where jobs go: the cluster's name, the folder above `results/`, its master, its ssh_config."""

    cluster: str
    root: Path
    master: str
    ssh_config: Path

    def command(self, *words: str, root: bool = False) -> list[str]:
        """Return the local command line that runs `muster-job WORDS` on the master, as `hadoop` or root."""
        options = (*BATCH, "-T", "-l", LOGIN_USER if root else JOB_USER)
        become = ("sudo", "-n", "--preserve-env=SSH_USER_AUTH") if root else ()
        return ssh_command(self.ssh_config, self.master, *become, PROGRAM, *words, options=options)

    def ask(self, *words: str, timeout_s: float | None = None) -> Any:  # noqa: ANN401  (whatever JSON it is)
        """Run `muster-job WORDS` and return its JSON answer.

        Raises:
            Unreachable: there was no answer, or none within `timeout_s` seconds (None = no limit).
            MusterError: it has no queue, or refuses.
        """
        try:
            done = subprocess.run(
                self.command(*words),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(
                machines=[self.master], what=f"no answer within {timeout_s:g} s", remedy="See ./muster status"
            ) from None
        if done.returncode:
            raise self.error(done.returncode, done.stderr)
        return parse_json(done.stdout)

    def runs(self, *, timeout_s: float | None = None) -> list[dict[str, Any]]:
        """Return all runs, the oldest first. Raises as `ask`."""
        return answers.records(self.ask("list", "--json", timeout_s=timeout_s), self.master)

    def run(self, run: str) -> dict[str, Any]:
        """Return one run. Raises as `ask`."""
        return self._about("show", run)

    def cancel(self, run: str) -> dict[str, Any]:
        """Stop a run, or take it out of the queue; return it as it ended. Raises as `ask`."""
        return self._about("cancel", run)

    def _about(self, verb: str, run: str) -> dict[str, Any]:
        answer = self.ask(verb, answers.require_run(run, self.cluster))
        return answers.record(answer, self.master, run)

    def error(self, status: int, stderr: bytes) -> MusterError:
        """Return what a failed call means."""
        said = stderr.decode("utf-8", "replace")
        if status == NO_PROGRAM or "No such file or directory" in said:
            return NotReady(where=self.master, what="has no queue of jobs yet", remedy="Run main.yml first")
        error = failure(self.master, status, said)
        error.what = error.what.removeprefix("muster-job: ")
        return error


def queue_of(state: State, root: Path) -> Queue:
    """Return the queue of the cluster with this state; results go below `root`.

    Raises:
        NotReady: it was not started.
    """
    masters = [machine.name for machine in state.load().machines if machine.group == MASTER]
    if not masters or not state.ssh_config.exists():
        raise NotReady(
            where=state.cluster, what="is not started", remedy="Run start_cluster.yml, then main.yml"
        )
    return Queue(state.cluster, root, masters[0], ssh_config(state))


def send(queue: Queue, request: JobRequest) -> dict[str, Any]:
    """Ship a request, return its record; the same run id is not run twice. Raises MusterError.

    Secrets go to root there, past the account that jobs have.
    """
    with tempfile.TemporaryFile() as errors:
        command = queue.command("submit", root=bool(request.secrets))
        ssh = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        assert ssh.stdin is not None  # noqa: S101  (for the type checker)
        assert ssh.stdout is not None  # noqa: S101
        with suppress(BrokenPipeError):  # it refused before it had read everything; its words say why
            ssh.stdin.write(request.header(getpass.getuser()))
            request.write_archive(ssh.stdin)
        with suppress(BrokenPipeError):
            ssh.stdin.close()
        answer = ssh.stdout.read()
        if status := ssh.wait():
            errors.seek(0)
            raise queue.error(status, errors.read())
    return answers.record(parse_json(answer), queue.master, request.run)


def stream(queue: Queue, run: str, *, sink: Sink, say: Callable[[str], object], wait: bool) -> int:
    """Hand a run's log to `sink`, until its end when `wait`; a lost connection is taken up where it broke.

    Returns:
        0 = succeeded (or not waited for), 1 = failed, 3 = cancelled.

    Raises:
        MusterError: there is no such run, or the master stayed out of reach for RECONNECT_S seconds.
    """
    answers.require_run(run, queue.cluster)
    position = 0
    while True:
        words = ["follow", run, "--offset", str(position), *([] if wait else ["--no-wait"])]
        ssh = subprocess.Popen(
            queue.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert isinstance(ssh.stdout, BufferedReader)  # noqa: S101  (for the type checker)
        assert ssh.stderr is not None  # noqa: S101
        heard: list[bytes] = []
        listener = threading.Thread(target=_listen, args=(ssh.stderr, heard, say), daemon=True)
        listener.start()
        while block := ssh.stdout.read1(65536):
            position += len(block)
            sink(block)
        status = ssh.wait()
        listener.join(timeout=1.0)
        if status in (0, 1, 3):
            return status
        error = queue.error(status, b"".join(heard))
        if status != SSH_FAILED:
            raise error
        if not reconnected(queue, say):
            error.remedy = f"The job goes on; ./muster logs {run} -f follows it again"
            raise error


def reconnected(queue: Queue, say: Callable[[str], object]) -> bool:
    """Wait until the master answers again, for RECONNECT_S seconds at most; return whether it does."""
    say(f"{queue.master}: connection lost; the job goes on; connecting again")
    return bool(until(lambda: _answers(queue), deadline_s=RECONNECT_S, interval_s=1.0))


def fetch(queue: Queue, run: str) -> Path:
    """Copy what a run left to `results/<run>/`; what was there of it is replaced. Raises MusterError.

    Where it has a result of that name, the run's record or log gets another one.
    """
    target = queue.root / "results" / answers.require_run(run, queue.cluster)
    target.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch,
        tempfile.TemporaryFile() as errors,
    ):
        ssh = subprocess.Popen(
            queue.command("bundle", run), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        assert ssh.stdout is not None  # noqa: S101
        came, refused = Path(scratch), None
        try:
            unpack(ssh.stdout, came, most_files=MOST_FILES, most_bytes=MOST_BYTES)
        except BadArchive as error:
            refused = error
        if status := _ended(ssh):
            errors.seek(0)
            raise queue.error(status, errors.read())
        try:
            if refused:
                raise refused
            _put_together(came, target)
        except (BadArchive, OSError) as error:
            raise MusterError(
                where=queue.master,
                what=f"the results of {run} are not taken in: {error}",
                remedy=f"./muster get {queue.master}:{records.folder(run)}/results . copies them as they are",
            ) from error
    return target


def _ended(ssh: subprocess.Popen[bytes]) -> int | None:
    """Return how ssh ended, of whose output no more is read; None: it would have gone on."""
    try:
        return ssh.wait(timeout=ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        ssh.kill()
        ssh.wait()
        return None


def _put_together(came: Path, target: Path) -> None:
    """Make the folder of a run's results of what came of it. Raises OSError."""
    fresh = came / "results"
    fresh.mkdir(exist_ok=True)
    for name in ("run.json", "log"):
        place = fresh / name
        (came / name).replace(fresh / f"muster-{name}" if place.exists() else place)
    if target.exists():
        shutil.rmtree(target)
    fresh.replace(target)


def _listen(source: IO[bytes], heard: list[bytes], say: Callable[[str], object]) -> None:
    """Pass on what a run waits for; keep everything for an error message."""
    for line in source:
        heard.append(line)
        if line.startswith(b"queued"):
            say(line.decode("utf-8", "replace").strip())


def _answers(queue: Queue) -> bool:
    with suppress(MusterError):
        queue.runs()
        return True
    return False
