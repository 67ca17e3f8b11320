"""Running one job: its environment, its packages, its command line, and how it ended."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from muster_job import reason, records, results
from muster_job.records import CANCELLED, FAILED, FINAL, QUEUED, RUNNING, SUCCEEDED, Record, Refused

DEPS_BUILT = ".complete"
LEFTOVERS_S = 15.0
"""How long what a job left behind may go on, in seconds."""
FAREWELL = "farewell"
"""A file in the run's folder: the program was told that the machines end."""
TIME_OVER = "the cluster's time was over (ttl, budget or autostop); what it had written is in its results"
VMSTAT = Path("/proc/vmstat")
PR_SET_CHILD_SUBREAPER = 36


def settings() -> dict[str, object]:
    """Return what the role wrote: programs and folders, `env`, `namenode_url` and `copies`."""
    found: dict[str, object] = json.loads(records.SETTINGS.read_text())
    return found


def run(run_id: str) -> int:
    """Run a job until its end, with everything it prints in its log; returns its exit status.

    Called by the unit; `finish` says afterwards how it ended, also when this process was killed.
    """
    record = records.change(
        run_id, only_from=frozenset((QUEUED,)), state=RUNNING, started=time.time(), boot=records.boot_id()
    )
    if record.state != RUNNING:
        return 0
    home = records.folder(run_id)
    (home / "oom_kills").write_text(str(_oom_kills()))
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with (home / "log").open("ab", buffering=0) as log:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the job gets it too; its end is still to be recorded
        child: subprocess.Popen[bytes] | None = None

        def told(*_: object) -> None:
            """The machines end (see farewell.py): the program may checkpoint."""
            (home / FAREWELL).touch()
            if child is not None:
                child.terminate()

        signal.signal(signal.SIGUSR1, told)
        try:
            if (home / FAREWELL).exists():
                raise Refused(TIME_OVER)
            environment = environ(record, home, log)
            code = home / "code"
            child = subprocess.Popen(
                command(record, code),
                cwd=code,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_default_sigterm,
            )
        except (Refused, OSError) as error:
            log.write(f"{error}\n".encode())
            status = 1
        else:
            if (home / FAREWELL).exists():  # told before there was a program to tell
                child.terminate()
            status = child.wait()
            _let_children_end()
        _write(home / "exit.json", {"status": status if status >= 0 else None, "signal": max(-status, 0)})
        if not (home / "cancel").exists():
            results.publish(home / "results", f"/results/{run_id}", settings(), log)
    return status if status >= 0 else 128 - status


def finish(run_id: str, result: str) -> Record:
    """Write down how a run ended.

    Args:
        run_id: the run.
        result: systemd's $SERVICE_RESULT (success, exit-code, signal, oom-kill …), or 'vanished'.
    """
    record = records.load(run_id)
    if record.state in FINAL:
        return record
    home = records.folder(run_id)
    ended: dict[str, int | None] = {"status": None, "signal": 0}
    if (home / "exit.json").exists():
        ended = json.loads((home / "exit.json").read_text())
    if (home / "cancel").exists():
        state, why = CANCELLED, "cancelled"
    elif (home / FAREWELL).exists() and ended["status"] != 0:
        state, why = FAILED, TIME_OVER
    elif ended["status"] == 0:
        state, why = SUCCEEDED, ""
    elif result == "vanished" or _machine_stops():
        state, why = FAILED, "machine restarted while it ran; submit it again"
    else:
        killed = ended["signal"] or (signal.SIGKILL if result == "signal" else 0)
        memory = result == "oom-kill" or (
            (killed == signal.SIGKILL or ended["status"] == 128 + signal.SIGKILL) and _memory_ran_out(home)
        )
        state, why = FAILED, reason.find(
            _tail(home / "log"), status=ended["status"], signal=killed, out_of_memory=memory
        )  # fmt: skip
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
        exit_status=ended["status"],
    )


def environ(record: Record, home: Path, log: IO[bytes]) -> dict[str, str]:
    """Return the environment of a job: the cluster's, its packages, its own."""
    known = settings()
    fixed = dict(known["env"])  # type: ignore[call-overload]
    result = home / "results"
    result.mkdir(exist_ok=True)
    paths, options = [str(path) for path in known["python_path"]], []  # type: ignore[attr-defined]
    if record.deps:
        packages = install(home / "requirements.txt", python=str(known["python"]), log=log)
        paths.insert(0, str(packages / "site"))
        options += [
            f"--archives {packages}/site.zip#packages",
            "--conf spark.executorEnv.PYTHONPATH=packages",
        ]
    if record.kind in ("folder", "builtin") and (modules := _modules(home)):
        options.append(f"--py-files {modules}")
    return {
        **{name: os.environ[name] for name in ("HOME", "PATH", "LANG", "USER") if name in os.environ},
        **fixed,
        **record.env,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": ":".join(paths),
        "PYSPARK_SUBMIT_ARGS": " ".join(
            ["--conf spark.ui.showConsoleProgress=false", *options, "pyspark-shell"]
        ),
        "MUSTER_RUN": record.run,
        "MUSTER_RESULTS": str(result),
        "MUSTER_HDFS_RESULTS": f"/results/{record.run}",
    }


def command(record: Record, code: Path) -> list[str]:
    """Return the command line of a job. Raises Refused when its program is not there."""
    known = settings()
    if record.kind == "shell":
        return ["/bin/bash", "-c", record.entry, record.name, *record.args]
    program = code / record.entry
    if not program.is_file():
        raise Refused(f"{record.entry} is not in what was submitted")
    if record.kind == "jar":
        main_class = ["--class", record.main_class] if record.main_class else []
        return [str(known["spark_submit"]), *main_class, str(program), *record.args]
    return [str(known["python"]), str(program), *record.args]


def install(requirements: Path, *, python: str, log: IO[bytes]) -> Path:
    """Install a requirements.txt into a folder named by its digest, once; returns that folder.

    The folder holds `site` (for the driver) and `site.zip` (unpacked by every executor).
    Raises Refused when pip fails; its words are in the log.
    """
    version = subprocess.run([python, "-V"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(requirements.read_bytes() + version).hexdigest()[:16]
    target = records.ROOT / "deps" / digest
    if (target / DEPS_BUILT).exists():
        return target
    shutil.rmtree(target, ignore_errors=True)
    (target / "site").mkdir(parents=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*pip, "--target", str(target / "site"), "-r", str(requirements)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        check=False,
    )
    if done.returncode:
        raise Refused("the packages of requirements.txt could not be installed; pip's words are above")
    pack(target / "site", target / "site.zip")
    (target / DEPS_BUILT).touch()
    return target


def pack(folder: Path, target: Path) -> None:
    """Write the files in `folder` into a zip file, without byte code."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(folder))


def _modules(home: Path) -> str:
    """Return a zip of a folder's Python modules for the executors, '' when there are none."""
    modules = [path for path in (home / "code").rglob("*.py") if path.name not in ("main.py", "__main__.py")]
    if not modules:
        return ""
    pack(home / "code", home / "code.zip")
    return str(home / "code.zip")


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
    before = home / "oom_kills"
    return before.exists() and _oom_kills() > int(before.read_text() or 0)


def _machine_stops() -> bool:
    done = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "stopping"


def _let_children_end() -> None:
    """Wait for what the job left behind, such as Spark's JVM tidying up; the unit's end would kill it."""
    end = time.monotonic() + LEFTOVERS_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.05)


def _default_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content))
