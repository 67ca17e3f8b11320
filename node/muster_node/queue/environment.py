"""What a job finds when it starts: its environment, its packages, its command line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from muster_node import files
from muster_node.queue import layout, packages, progress, provenance, records, tracked
from muster_node.queue.records import Record, Refused

FOLDER = "MUSTER_FOLDER"
"""Names, where there is no HDFS, the folder that has the data sets in its place."""
RECORD = "MUSTER_RECORD"
"""Names the file in which a program finds the record of its run."""


def environ(record: Record, home: Path, log: IO[bytes], secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a job: the cluster's, its packages, its own, its secrets. Raises Refused."""
    known = records.settings()
    result = home / "results"
    result.mkdir(exist_ok=True)
    paths, options = [str(path) for path in known["python_path"]], []
    if record.deps:
        installed = packages.install(
            home / "requirements.txt", python=str(known["python"]), python_path=paths, log=log
        )
        paths.insert(0, str(installed / "site"))
        options += [
            f"--archives {installed}/site.zip#packages",
            "--conf spark.executorEnv.PYTHONPATH=packages",
        ]
    if record.kind in ("folder", "builtin") and (modules := _modules(home)):
        options.append(f"--py-files {modules}")
    options += _spark(record)
    provenance.note_packages(home, paths)
    told = json.dumps(records.describe(record, whole=True), indent=1)
    files.write(home / "record.json", f"{told}\n", mode=0o600)
    programs = [str(Path(known["python"]).parent), os.environ.get("PATH", os.defpath)]
    return {
        **{name: os.environ[name] for name in ("HOME", "LANG", "USER") if name in os.environ},
        "PATH": ":".join(programs),  # `python` is the Python of jobs
        **tracked.environ(record, log),
        **known["env"],
        **record.env,
        **secrets,
        **_limits(record),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": ":".join(paths),
        "PYSPARK_SUBMIT_ARGS": " ".join(
            ["--conf spark.ui.showConsoleProgress=false", *options, "pyspark-shell"]
        ),
        "MUSTER_RUN": record.run,
        "MUSTER_RESULTS": str(result),
        **({FOLDER: "/data"} if known.get("far") else {"MUSTER_HDFS_RESULTS": f"/results/{record.run}"}),
        progress.VARIABLE: str(home / progress.FILE),
        RECORD: str(home / "record.json"),
    }


def _spark(record: Record) -> list[str]:
    """Return the options of spark-submit: a run on one machine has Spark there alone."""
    return layout.local_options(record.cores, record.memory_mb) if record.on else layout.options(record.spark)


def _limits(record: Record) -> dict[str, str]:
    """Return what tells a program on one machine how much of it is its own."""
    if not record.on:
        return {}
    cores = str(record.cores)
    return {"MUSTER_CORES": cores, "OMP_NUM_THREADS": cores, "MUSTER_MEMORY_MB": str(record.memory_mb)}


def command(record: Record, code: Path) -> list[str]:
    """Return the command line of a job. Raises Refused when its program is not there."""
    known = records.settings()
    if record.kind == "shell":  # of a pipe any part that fails counts: `train | tee log` is no success
        return ["/bin/bash", "-o", "pipefail", "-c", record.entry, record.name, *record.args]
    program = code / record.entry
    if not program.is_file():
        raise Refused(f"{record.entry} is not in what was submitted")
    if record.kind == "script":
        return ["/bin/bash", str(program), *record.args]
    if record.kind == "jar":
        main_class = ["--class", record.main_class] if record.main_class else []
        executors = [word for option in _spark(record) for word in option.split()]
        return [str(known["spark_submit"]), *executors, *main_class, str(program), *record.args]
    return [str(known["python"]), str(program), *record.args]


def _modules(home: Path) -> str:
    """Return a zip of a folder's Python modules for the executors, '' when there are none."""
    modules = [path for path in (home / "code").rglob("*.py") if path.name not in ("main.py", "__main__.py")]
    if not modules:
        return ""
    packages.pack(home / "code", home / "code.zip")
    return str(home / "code.zip")
