"""`muster-notebook-files prepare|save`: users' files on the data disk, and their copies in object storage.

    prepare     starters that were never here are put in place; a new disk gets what the store has
    save        what was changed since the last time is copied to the store; nothing is removed there

The store has them below notebooks/CLUSTER/. What is here counts: nothing that exists is overwritten. Where
there is no store, or none that a node can write to, files are on the data disk alone.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from muster_node import files
from muster_node.stores.base import SETTINGS, Settings, Store, StoreError
from muster_node.stores.open import open_store

HOME = Path("/data/notebooks")
STARTERS = Path("/opt/muster/lib/notebooks")
CONFIG = Path("/etc/muster/notebook/files.json")
LARGEST = 1 << 30
"""Bytes; what is larger is data, which goes into HDFS or the store by itself."""


@dataclass
class Notes:
    """What was done in a folder before.

    Attributes:
        starters: that were put in place: what a user deletes stays away.
        asked: whether what the store had has come back.
        saved: size and time of the files that the store has, by name.
    """

    starters: list[str] = field(default_factory=list)
    asked: bool = False
    saved: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Path) -> Notes:
        """Read them; there are none in a new folder. Raises OSError, ValueError, TypeError."""
        path = home / ".muster.json"
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def keep(self, home: Path) -> None:
        """Write them. Raises OSError."""
        files.write(home / ".muster.json", json.dumps(asdict(self)))


def prepare(home: Path, prefix: str, store: Store | None) -> None:
    """Make the folder ready for its users. Raises StoreError, OSError; what came back until then stays."""
    notes = Notes.of(home)
    try:
        if store is not None and not notes.asked:
            print(f"{bring_back(home, store, prefix)} files came back from the object store", flush=True)
            notes.asked = True
    finally:
        for source in sorted(STARTERS.glob("*.ipynb")):
            if source.name not in notes.starters:
                if not (home / source.name).exists():
                    shutil.copyfile(source, home / source.name)
                notes.starters.append(source.name)
        notes.keep(home)


def bring_back(home: Path, store: Store, prefix: str) -> int:
    """Fetch what the store has and this disk has not; return how many files. Raises StoreError, OSError."""
    count = 0
    for stored in store.objects(prefix):
        path = home / stored.key.removeprefix(prefix)
        if path.exists() or not path.resolve().is_relative_to(home.resolve()):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        with fresh.open("wb") as target:
            target.writelines(store.blocks(stored.key))
        fresh.replace(path)
        count += 1
    return count


def save(home: Path, prefix: str, store: Store) -> int:
    """Copy to the store what was changed since; return how many files. Raises StoreError, OSError."""
    notes, count = Notes.of(home), 0
    try:
        for path in of_users(home):
            name, status = path.relative_to(home).as_posix(), path.stat()
            seen = [status.st_size, status.st_mtime_ns]
            if notes.saved.get(name) != seen:
                with path.open("rb") as source:
                    store.upload(f"{prefix}{name}", source, status.st_size)
                notes.saved[name] = seen
                count += 1
    finally:
        notes.keep(home)
    return count


def of_users(home: Path) -> Iterator[Path]:
    """Yield the files to keep: not what is hidden or a link, and nothing that is as large as data."""
    for path in sorted(home.rglob("*")):
        parts = path.relative_to(home).parts
        if any(part.startswith(".") for part in parts) or path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size <= LARGEST:
            yield path


def main() -> int:
    """Do what is asked for; a store that does not answer is said, and stops nobody."""
    prefix = str(json.loads(CONFIG.read_text())["prefix"])
    with (HOME / ".muster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one after another: each save of a notebook begins one
        try:
            store = open_store(Settings.load()) if prefix and SETTINGS.exists() else None
            if sys.argv[1] == "prepare":
                prepare(HOME, prefix, store)
            elif store is not None:
                save(HOME, prefix, store)
        except (StoreError, OSError) as error:
            print(f"notebooks and the object store: {' '.join(str(error).split())}", file=sys.stderr)
            return 1
    return 0
