"""The git commit that a program is at, for the record of its run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

WITHIN_S = 10.0
"""How long git may take; a run without its commit is better than none."""


def commit_of(program: Path) -> tuple[str, bool]:
    """Return the commit of the work tree that a program lies in, and whether the program differs from it.

    Without git, or outside of any work tree: '' and False.
    """
    place = program.resolve()
    folder = place if place.is_dir() else place.parent
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return "", False
    return commit, bool(_git(folder, "status", "--porcelain", "--", str(place)))


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WITHIN_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
