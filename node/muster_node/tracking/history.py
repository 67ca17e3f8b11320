"""MLflow's database in object storage, where it outlives the machines.

    tracking/<cluster>-<id>.db.xz     the database of one cluster, written by that cluster alone
    tracking/<cluster>-<id>.json      what is in it: when it was saved, how many runs, what it went on from
    tracking/artifacts/…              artifacts, where MLflow itself cannot write to the store

No cluster ever writes another's, so two that run at once lose nothing. A new cluster goes on from the last
state that nobody has gone on from yet: its own name's, else the newest; what else there is it names.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from muster_node import files
from muster_node.stores.base import Store
from muster_node.tracking import schema
from muster_node.tracking.settings import Settings

PREFIX = "tracking/"
ARTIFACTS = f"{PREFIX}artifacts/"
ORIGIN = "origin.json"
"""Beside the database: what it went on from."""
SAVED = "saved"
"""Beside it: the digest of the database that was saved last."""


@dataclass(frozen=True)
class State:
    """A saved history. `saved`: seconds since the epoch; `before`: the histories that it has gone on from."""

    history: str
    cluster: str
    saved: float
    runs: int
    mlflow: str
    before: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Say which one it is."""
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.saved))
        return f"{self.runs} runs of {self.cluster}, saved {when}"


class History:
    """The history of one cluster. All methods raise StoreError and OSError.

    Args:
        settings: of the tracking server.
        folder: where its database lies.
        empty: the database that a history begins with.
        python: the folder of MLflow's Python, which knows the schemas that came before its own.
    """

    def __init__(self, settings: Settings, folder: Path, empty: Path, python: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._empty = empty
        self._python = python
        self._database = folder / "mlflow.db"
        self._name = f"{settings.cluster}-{settings.cluster_id}"

    def restore(self, store: Store | None) -> tuple[bool, list[str]]:
        """Put the database in place unless there is one; return whether that was done, and what to say.

        Raises Untracked besides: this machine's MLflow cannot go on from what there is.
        """
        if self._database.exists():
            return False, []
        fresh, notes = self._database.with_suffix(".new"), []
        chosen, others = choose(self._states(store), self._settings.cluster, self._name)
        if chosen is None or store is None:
            shutil.copyfile(self._empty, fresh)
        else:
            fresh.write_bytes(lzma.decompress(store.get(f"{PREFIX}{chosen.history}.db.xz")))
            upgraded = schema.adapt(fresh, self._empty, self._python, chosen.mlflow)
            self._fetch_artifacts(store)
            before = [*chosen.before, *([] if chosen.history == self._name else [chosen.history])]
            files.write(self._folder / ORIGIN, json.dumps(before))
            notes.append(f"tracking goes on from {chosen.words}")
            if upgraded:
                notes.append(f"tracking: its database was that of MLflow {chosen.mlflow}, and is upgraded")
        notes += [f"tracking: not in this history: {other.words}" for other in others]
        fresh.replace(self._database)
        return True, notes

    def save(self, store: Store, mlflow: str) -> bool:
        """Save the database unless it is as it was; return whether that was done."""
        copy = self._folder / "copy.db"
        copy.unlink(missing_ok=True)
        live, target = sqlite3.connect(self._database, timeout=60), sqlite3.connect(copy)
        with closing(live), closing(target):
            live.backup(target)
            runs = target.execute("SELECT count(*) FROM runs").fetchone()[0]
        content = copy.read_bytes()
        copy.unlink()
        digest = hashlib.sha256(content).hexdigest()
        if self._noted(SAVED) == digest:
            return False
        before = json.loads(self._noted(ORIGIN) or "[]")
        self._send_artifacts(store)
        state = State(self._name, self._settings.cluster, time.time(), runs, mlflow, tuple(before))
        store.put(f"{PREFIX}{self._name}.db.xz", lzma.compress(content, preset=1))
        store.put(f"{PREFIX}{self._name}.json", json.dumps(asdict(state)).encode())
        files.write(self._folder / SAVED, digest)
        return True

    def _states(self, store: Store | None) -> list[State]:
        if store is None:
            return []
        keys = [key for key, _ in store.names(PREFIX) if key.endswith(".json") and key.count("/") == 1]
        found = [json.loads(store.get(key)) for key in keys]
        return [State(**{**each, "before": tuple(each["before"])}) for each in found]

    def _noted(self, name: str) -> str:
        path = self._folder / name
        return path.read_text() if path.exists() else ""

    def _send_artifacts(self, store: Store) -> None:
        """Send what the store does not have, where MLflow writes to the disk alone."""
        if self._settings.store != "swift":
            return
        here = self._folder / "artifacts"
        there = dict(store.names(ARTIFACTS))
        for path in sorted(path for path in here.rglob("*") if path.is_file()):
            key, size = f"{ARTIFACTS}{path.relative_to(here).as_posix()}", path.stat().st_size
            if there.get(key) != size:
                with path.open("rb") as source:
                    store.upload(key, source, size)

    def _fetch_artifacts(self, store: Store) -> None:
        if self._settings.store != "swift":
            return
        for key, _ in store.names(ARTIFACTS):
            path = self._folder / "artifacts" / key.removeprefix(ARTIFACTS)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as target:
                store.download(key, target)


def choose(states: Iterable[State], cluster: str, own: str) -> tuple[State | None, list[State]]:
    """Return the history to go on from, and those that are not in it.

    Args:
        states: all that are saved.
        cluster: the cluster's name.
        own: its own history, where it has lost its disk.
    """
    known = list(states)
    continued = {name for each in known for name in each.before if name != own}
    heads = [each for each in known if each.history == own or each.history not in continued]
    rank = lambda each: (each.history == own, each.cluster == cluster, each.saved)  # noqa: E731  one use
    heads.sort(key=rank, reverse=True)
    return (heads[0], heads[1:]) if heads else (None, [])
