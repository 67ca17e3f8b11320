"""The built-in jobs: which there are, their parameters, and copies of them as a start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from muster_node.queue.records import SHARED
from provision.core.errors import BadJob

DECLARATION = "parameters.py"
REQUIREMENTS = "requirements.txt"
"""Packages that a built-in job needs and no other does: installed when it first runs."""
HELP = "help"


def builtin_jobs(root: Path) -> list[str]:
    """Return the names of the built-in jobs of the project in `root`."""
    return sorted(path.parent.name for path in (root / "jobs").glob("*/main.py"))


def require_parameters(root: Path, job: str, words: Sequence[str]) -> None:
    """Raise BadJob when a built-in job does not know a parameter, or one's value cannot be."""
    if words and (root / "jobs" / job / DECLARATION).is_file():
        _ask(root, job, words)


def requirements(root: Path, job: str) -> Path | None:
    """Return the list of the packages that only this built-in job needs; None when it has none."""
    path = root / "jobs" / job / REQUIREMENTS
    return path if path.is_file() else None


def parameters_help(root: Path, job: str) -> str:
    """Return a table of a built-in job's parameters. Raises BadJob: there is no such job, or it has none."""
    if not (root / "jobs" / job / DECLARATION).is_file():
        having = [name for name in builtin_jobs(root) if (root / "jobs" / name / DECLARATION).is_file()]
        raise BadJob(where=job, what="is no job with parameters", remedy=f"These are: {', '.join(having)}")
    return _ask(root, job, [HELP])


def write_example(root: Path, job: str, folder: Path) -> list[str]:
    """Copy a built-in job, with the modules that it shares with others, into a new folder.

    Returns the names of the files. Raises BadJob: there is no such job, or the folder exists.
    """
    if job not in builtin_jobs(root):
        raise BadJob(
            where=job, what="is no built-in job", remedy=f"These are: {', '.join(builtin_jobs(root))}"
        )
    if folder.exists():
        raise BadJob(where=str(folder), what="exists already", remedy="Give a folder that is to be made")
    for source in (SHARED, job):
        shutil.copytree(
            root / "jobs" / source,
            folder,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__", ".*"),
        )
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _ask(root: Path, job: str, words: Sequence[str]) -> str:
    """Run a job's declaration of its parameters, a program of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, str(root / "jobs" / job / DECLARATION), *words],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(root / "jobs" / SHARED), str(root / "node"))),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["its parameters cannot be read"]
        raise BadJob(where=job, what=said[-1], remedy=f"./muster submit {job} {HELP} lists its parameters")
    return done.stdout.rstrip("\n")
