"""The schema of a restored database: that of this machine's MLflow, or brought there by MLflow itself.

A schema is known by a revision, and MLflow has a program for each step from one to the next. So an older one
has a way to ours; one that this MLflow has no program for was made by a newer MLflow.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from muster_node.tracking.settings import Untracked

REVISION = re.compile(r"[0-9a-f]{8,40}")
STEPS = "lib/python*/site-packages/mlflow/store/db_migrations/versions"
"""Below MLflow's Python: its programs, each named for the revision that it leads to."""
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
UPGRADE_S = 1500
"""How long MLflow may take, in seconds: it copies whole tables."""


def revision(database: Path) -> str:
    """Return the revision of a database's schema. Raises Untracked: it is none of MLflow's."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            found = str(opened.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    except (sqlite3.Error, TypeError) as error:
        raise Untracked(f"{database} is no database of MLflow: {error}") from error
    if not REVISION.fullmatch(found):
        raise Untracked(f"{database} is no database of MLflow: it has no revision")
    return found


def adapt(database: Path, like: Path, python: Path, maker: str) -> bool:
    """Give a database the schema of another one; return whether anything was to be done.

    Args:
        database: nobody else has it open.
        like: has the schema of this machine's MLflow.
        python: the folder of MLflow's Python.
        maker: which version of MLflow the database comes from, '' = not known.

    Raises:
        Untracked: that version is newer, or MLflow cannot do it.
    """
    has = revision(database)
    if has == revision(like):
        return False
    if not list(python.glob(f"{STEPS}/{has}_*.py")):
        raise Untracked(
            f"the history was made by {f'MLflow {maker}' if maker else 'another MLflow'}, whose database the "
            f"older one here cannot read: update Muster, then run ./muster up"
        )
    done = subprocess.run(
        [python / "bin" / "python", "-I", "-m", "mlflow", "db", "upgrade", f"sqlite:///{database}"],
        env={**QUIET, "HOME": str(database.parent), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=UPGRADE_S, check=False,
    )  # fmt: skip
    if done.returncode or revision(database) != revision(like):
        last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise Untracked(f"MLflow cannot upgrade the history that it was left: {last}")
    return True
