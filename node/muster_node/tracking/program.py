"""`muster-tracking`: what the machines do for MLflow beside running it.

restore: put the database in place before the server starts. save: copy it to object storage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from muster_node.stores.base import Settings as StoreSettings
from muster_node.stores.base import Store, StoreError
from muster_node.tracking.history import History
from muster_node.tracking.settings import Settings, Untracked

FOLDER = Path("/data/mlflow")
PROGRAM = Path("/opt/muster/tracking")


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="muster-tracking", description=__doc__)
    parser.add_argument("verb", choices=sorted(COMMANDS))
    asked = parser.parse_args(argv)
    try:
        settings = Settings.load()
        if settings is None:
            raise Untracked("this cluster tracks nothing; add `features: [tracking]` to its config file")
        COMMANDS[asked.verb](settings)
    except (Untracked, StoreError, OSError) as error:
        print(f"muster-tracking: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def restore(settings: Settings) -> None:
    """Fetch the history; its last line is for Ansible."""
    done, notes = _history(settings).restore(_store(settings))
    print(json.dumps({"changed": done, "notes": notes}))


def save(settings: Settings) -> None:
    """Save the history, where there is a store."""
    store = _store(settings)
    if store is not None and _history(settings).save(store, _version()):
        print("MLflow's database is saved")


def _history(settings: Settings) -> History:
    return History(settings, FOLDER, PROGRAM / "mlflow.db", PROGRAM / "venv")


def _store(settings: Settings) -> Store | None:
    if settings.store == "none":
        return None
    from muster_node.stores.open import open_store

    return open_store(StoreSettings.load())


def _version() -> str:
    found = sorted((PROGRAM / "venv").glob("lib/python*/site-packages/mlflow-*.dist-info"))
    return found[-1].name.removeprefix("mlflow-").removesuffix(".dist-info") if found else ""


COMMANDS: dict[str, Callable[[Settings], None]] = {"restore": restore, "save": save}
