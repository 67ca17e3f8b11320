"""What a job finds when it starts: its environment, its packages, its command line."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import IO

from muster_node.queue import records
from muster_node.queue.records import Record, Refused

DEPS_BUILT = ".complete"


def environ(record: Record, home: Path, log: IO[bytes]) -> dict[str, str]:
    """Return the environment of a job: the cluster's, its packages, its own. Raises Refused."""
    known = records.settings()
    result = home / "results"
    result.mkdir(exist_ok=True)
    paths, options = [str(path) for path in known["python_path"]], []
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
        **known["env"],
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
    known = records.settings()
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
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False,
    )  # fmt: skip
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
