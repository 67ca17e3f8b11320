"""Jobs on the cluster, seen from the control machine: submit, list, logs, cancel, results.

Everything goes over SSH with the cluster's own ssh_config (pinned host keys) to `muster-job` on the master,
as the user `hadoop`. A job belongs to the master from the moment it is submitted: it goes on when this
computer is closed.
"""

from __future__ import annotations

import getpass
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from provision import job_time
from provision.errors import CommandFailed, MusterError, NotReady, Unreachable, one_line
from provision.job_request import JobRequest, make_request
from provision.plan import MASTER
from provision.wait import until

if TYPE_CHECKING:
    from provision.cluster import Cluster

PROGRAM = "/opt/muster/bin/muster-job"
USER = "hadoop"
RECONNECT_S = 60.0
"""How long a lost connection is tried again before following gives up (the job goes on)."""
SSH_FAILED, NO_PROGRAM = 255, 127
Sink = Callable[[bytes], object]


@dataclass(frozen=True)
class Queue:
    """Where jobs go: the cluster's name, its project folder, its master, the ssh_config to reach it."""

    cluster: str
    root: Path
    master: str
    ssh_config: Path

    def command(self, *words: str) -> list[str]:
        """Return the local command line that runs `muster-job WORDS` on the master."""
        return [
            "ssh",
            "-F",
            str(self.ssh_config),
            "-o",
            "BatchMode=yes",
            "-T",
            "-l",
            USER,
            self.master,
            PROGRAM,
            *words,
        ]

    def ask(self, *words: str) -> Any:  # noqa: ANN401  (whatever JSON the master answers)
        """Run `muster-job WORDS` and return its JSON answer. Raises MusterError."""
        done = subprocess.run(
            self.command(*words), stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            raise self.error(done.returncode, done.stderr)
        return json.loads(done.stdout)

    def error(self, status: int, stderr: bytes) -> MusterError:
        """Return what a failed call means."""
        words = one_line(stderr.decode("utf-8", "replace"))
        if status == SSH_FAILED:
            return Unreachable(
                machines=[self.master], what=f"cannot be reached over SSH: {words or 'connection lost'}",
                remedy="See ./muster status",
            )  # fmt: skip
        if status == NO_PROGRAM or "No such file or directory" in words:
            return NotReady(where=self.master, what="has no queue of jobs yet", remedy="Run main.yml first")
        return CommandFailed(where=self.cluster, what=words.removeprefix("muster-job: "), status=status)


def queue_of(cluster: Cluster) -> Queue:
    """Return the queue of a cluster. Raises NotReady when it was not started."""
    masters = [machine.name for machine in cluster.state.load().machines if machine.group == MASTER]
    if not masters or not cluster.state.ssh_config.exists():
        raise NotReady(
            where=cluster.spec.name, what="is not started", remedy="Run start_cluster.yml, then main.yml"
        )
    return Queue(cluster.spec.name, cluster.root, masters[0], cluster.state.ssh_config)


def submit(
    cluster: Cluster,
    job: str,
    *,
    args: Sequence[str] = (),
    deps: Path | None = None,
    main_class: str | None = None,
    follow: bool = True,
    env: Mapping[str, str] | None = None,
    sink: Sink | None = None,
    say: Callable[[str], object] | None = None,
) -> str:
    """Send a job to the cluster; returns the run's id.

    Args:
        cluster: where to.
        job: a built-in job's name, a Python file, a folder, a jar or a shell command.
        args: its own arguments.
        deps: a requirements.txt for this run alone.
        main_class: a jar's main class.
        follow: print its log, wait for its end and fetch its results.
        env: environment variables of this run.
        sink: gets the log, in pieces (default: standard output).
        say: gets one-line messages (default: standard error).

    Raises:
        BadJob, NotReady, Unreachable: nothing was submitted.
        CommandFailed: it failed (the reason) or was cancelled.
    """
    request = make_request(job, root=cluster.root, args=args, deps=deps, main_class=main_class or "", env=env)
    queue, tell = queue_of(cluster), say or _to_stderr
    if warning := job_time.warning(cluster.deadline, queue, request.name):
        tell(f"Warning: {warning}")
    send(queue, request)
    tell(f"Submitted {request.run}")
    if follow:
        finish(queue, request.run, sink=sink, say=tell)
    return request.run


def send(queue: Queue, request: JobRequest) -> dict[str, Any]:
    """Ship a request, return its record; the same run id is not run twice. Raises MusterError."""
    with tempfile.TemporaryFile() as errors:
        ssh = subprocess.Popen(
            queue.command("submit"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        )
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
    record: dict[str, Any] = json.loads(answer)
    return record


def finish(queue: Queue, run: str, *, sink: Sink | None, say: Callable[[str], object]) -> dict[str, Any]:
    """Follow a run to its end, fetch its results, return its record. Raises CommandFailed when it failed."""
    stream(queue, run, sink=sink or _to_stdout, say=say, wait=True)
    target = fetch(queue, run)
    record: dict[str, Any] = queue.ask("show", run)
    if record["state"] != "succeeded":
        what = (
            f"{record['state']}: {record['reason']}" if record["state"] == "failed" else str(record["state"])
        )
        raise CommandFailed(where=run, what=what, output=record["reason"])
    say(_where(record, target))
    return record


def list_runs(cluster: Cluster) -> list[dict[str, Any]]:
    """Return all runs, the newest first: run, state, submitted, started, seconds, reason, results."""
    found: list[dict[str, Any]] = queue_of(cluster).ask("list", "--json")
    return found[::-1]


def logs(cluster: Cluster, run: str | None = None, *, follow: bool = False, sink: Sink | None = None) -> None:
    """Print the log of a run (None = the newest); with `follow` to its end, and then fetch its results.

    Raises MusterError; a failed job is no error here.
    """
    queue = queue_of(cluster)
    wanted = run or _newest(queue)
    stream(queue, wanted, sink=sink or _to_stdout, say=_to_stderr, wait=follow)
    if follow:
        target = fetch(queue, wanted)
        _to_stderr(_where(queue.ask("show", wanted), target))


def cancel(cluster: Cluster, run: str) -> dict[str, Any]:
    """Stop a run with all it started, or take it out of the queue; returns its record once it has ended."""
    record: dict[str, Any] = queue_of(cluster).ask("cancel", run)
    return record


def stream(queue: Queue, run: str, *, sink: Sink, say: Callable[[str], object], wait: bool) -> int:
    """Hand a run's log to `sink`, until its end when `wait`; a lost connection is taken up where it broke.

    Returns:
        0 = succeeded (or not waited for), 1 = failed, 3 = cancelled.

    Raises:
        MusterError: there is no such run, or the master stayed out of reach for RECONNECT_S seconds.
    """
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
        say(f"{queue.master}: connection lost; the job goes on; connecting again")
        if not until(lambda: _answers(queue), deadline_s=RECONNECT_S, interval_s=1.0):
            error.remedy = f"The job goes on; ./muster logs {run} -f follows it again"
            raise error


def fetch(queue: Queue, run: str) -> Path:
    """Copy what a run left to `results/<run>/`; what was there of it is replaced. Raises MusterError."""
    target = queue.root / "results" / run
    target.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch,
        tempfile.TemporaryFile() as errors,
    ):
        ssh = subprocess.Popen(
            queue.command("bundle", run), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        assert ssh.stdout is not None  # noqa: S101
        with suppress(tarfile.ReadError), tarfile.open(fileobj=ssh.stdout, mode="r|") as archive:
            archive.extractall(scratch, filter="data")
        if status := ssh.wait():
            errors.seek(0)
            raise queue.error(status, errors.read())
        came = Path(scratch)
        fresh = came / "results" if (came / "results").is_dir() else came / "nothing"
        fresh.mkdir(exist_ok=True)
        for name in ("run.json", "log"):
            (came / name).replace(fresh / name)
        if target.exists():
            shutil.rmtree(target)
        fresh.replace(target)
    return target


def _where(record: Mapping[str, Any], target: Path) -> str:
    """Return where a run's results went, in one line."""
    shown = ", ".join(record["results"])
    return f"Results of {record['run']}: {_relative(target)}" + (f" ({shown})" if shown else "")


def _listen(source: IO[bytes], heard: list[bytes], say: Callable[[str], object]) -> None:
    """Pass on what a run waits for; keep everything for an error message."""
    for line in source:
        heard.append(line)
        if line.startswith(b"queued"):
            say(line.decode("utf-8", "replace").strip())


def _answers(queue: Queue) -> bool:
    with suppress(MusterError):
        queue.ask("list", "--json")
        return True
    return False


def _newest(queue: Queue) -> str:
    runs = queue.ask("list", "--json")
    if not runs:
        raise CommandFailed(
            where=queue.cluster, what="no job was submitted yet", remedy="See ./muster submit --help"
        )
    return str(runs[-1]["run"])


def _relative(path: Path) -> Path:
    with suppress(ValueError):
        return path.relative_to(Path.cwd())
    return path


def _to_stdout(block: bytes) -> None:
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201  (the command line's default)
