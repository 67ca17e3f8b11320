"""`muster-stage`: put this node's share of a preprocessed data set into HDFS, or all of it into a folder.

    muster-stage fetch   --dataset digits --size 64 --namenode http://master:9870 --index 0 --count 3
    muster-stage publish --dataset digits --size 64 --namenode http://master:9870
    muster-stage fetch   --dataset digits --size 64 --folder /data     (publishes, too)

`fetch` runs on every node: of the objects that the manifest names it takes every count-th one that HDFS
does not have, checks its SHA-256 and only then writes it into a folder that carries the manifest's digest.
`publish` runs on one node when all are there: it adds the manifest to that folder and renames it to its final
name.
Whatever stops a run, the next one goes on where it was, and nobody ever sees half a set.

Prints one line of JSON. Exit status 3: the object store does not have the set.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from muster_node import files, sets
from muster_node.hdfs.folder import Folder
from muster_node.hdfs.webhdfs import Hdfs, HdfsError, HdfsFull
from muster_node.sets import SetFile
from muster_node.stores.base import SETTINGS, NotFound, Settings, Store, StoreError
from muster_node.stores.open import open_store

Target = Hdfs | Folder
# Most of a thread's time is waiting for HDFS to confirm.
THREADS = 8
IN_MEMORY = 24 << 20
SCRATCH = "/data/scratch"
MISSING = 3


class Failure(Exception):
    """Staging cannot go on; the text is one line."""


@dataclass(frozen=True)
class StagedSet:
    """One set: what its manifest says, and where it goes in HDFS."""

    name: str
    manifest: bytes
    objects: tuple[SetFile, ...]
    folder: str
    incoming: str


@dataclass(frozen=True)
class Progress:
    """Shows how far the run is in a file of one line, at most twice a second."""

    path: str
    total: int
    total_bytes: int
    state: dict[str, float]
    lock: threading.Lock

    def add(self, size: int) -> None:
        """Count one object."""
        with self.lock:
            self.state["objects"] += 1
            self.state["bytes"] += size
            if time.monotonic() - self.state["shown"] > 0.5:
                self.state["shown"] = time.monotonic()
                done, mib = int(self.state["objects"]), 1 << 20
                files.report(
                    self.path,
                    f"staging: {done} of {self.total} objects, "
                    f"{self.state['bytes'] / mib:.0f} of {self.total_bytes / mib:.0f} MiB",
                )


def target_files(arguments: argparse.Namespace) -> Target:
    """Return where the set goes: HDFS, or a folder of this node."""
    return Folder(Path(arguments.folder)) if arguments.folder else Hdfs(arguments.namenode)


def stored_sets(store: Store, dataset: str, size: int) -> list[StagedSet]:
    """Return the sets of one size; empty when the training set is not there. Raises StoreError."""
    found = []
    for part in sets.PARTS:
        try:
            content = store.get(sets.manifest_key(dataset, part, size))
        except NotFound:
            continue
        name, digest = sets.set_name(part, size), hashlib.sha256(content).hexdigest()[:12]
        found.append(
            StagedSet(
                name=name,
                manifest=content,
                objects=tuple(sets.Manifest.from_json(content).objects),
                folder=sets.staged_folder(dataset, part, size),
                incoming=f"{sets.staged_home(dataset)}/_incoming_{name}_{digest}",
            )
        )
    return found if found and found[-1].name == sets.set_name(sets.TRAIN, size) else []


def what_there_is(store: Store, dataset: str) -> dict[str, Any]:
    """Return which sizes the object store has, and whether it has the raw data. Raises StoreError."""
    sizes = set()
    for key, _ in store.names(f"{dataset}/{sets.TRAIN}_"):
        name, _, file = key.removeprefix(f"{dataset}/").partition("/")
        if file == sets.MANIFEST and (parsed := sets.parse_set_name(name)):
            sizes.add(parsed[1])
    labels = sets.labels_key(dataset)
    raw = any(key == labels for key, _ in store.names(labels))
    return {"missing": True, "changed": False, "sizes": sorted(sizes), "raw": raw}


def still_missing(target: Target, staged: StagedSet) -> tuple[str, list[SetFile]]:
    """Return where the set's files belong now, and the objects that are not there yet. Raises HdfsError.

    That is the final folder when it was made from this very manifest, else the folder for what comes in.
    """
    published = target.read(f"{staged.folder}/{sets.STAGED_MANIFEST}") == staged.manifest
    folder = staged.folder if published else staged.incoming
    there = target.lengths(folder) or {}
    return folder, [item for item in staged.objects if there.get(item.name) != item.bytes]


def is_complete(folder: str, missing: Sequence[SetFile], staged: StagedSet) -> bool:
    """Say whether the set is published and whole."""
    return folder == staged.folder and not missing


def fetch_one(
    settings: Settings, arguments: argparse.Namespace, folder: str, item: SetFile, local: threading.local
) -> None:
    """Take one object from the store into HDFS. Raises StoreError, HdfsError, Failure."""
    if not hasattr(local, "store"):
        local.store, local.target = open_store(settings), target_files(arguments)
    with tempfile.SpooledTemporaryFile(
        max_size=IN_MEMORY, dir=SCRATCH if Path(SCRATCH).is_dir() else None
    ) as spool:
        try:
            digest = local.store.download(item.key, spool)
        except NotFound as error:
            raise Failure(
                f"{error}, though the set's manifest names it; delete the set and run main.yml again"
            ) from error
        if digest != item.sha256:
            raise Failure(
                f"{item.key} in the object store is damaged: SHA-256 {digest[:12]}, "
                f"wanted {item.sha256[:12]}; delete the set and run main.yml again"
            )
        local.target.write(f"{folder}/{item.name}", spool, item.bytes, copies=arguments.copies)


def check_room(target: Target, missing: Sequence[SetFile], copies: int) -> None:
    """Raise HdfsFull when HDFS has no room for what is missing."""
    free = target.room()
    needed = sum(item.bytes for item in missing) * copies
    if needed > free:
        mib = 1 << 20
        raise HdfsFull(
            f"{target.place} has no room: {needed / mib:,.0f} MiB are needed ({copies} copies of each "
            f"block), {free / mib:,.0f} MiB are free; delete files or add nodes, "
            "then run the same command again"
        )


def share_of(
    target: Target, wanted: Sequence[StagedSet], arguments: argparse.Namespace
) -> Iterator[tuple[str, SetFile]]:
    """What this node has to fetch: (folder, object). Makes the folders. Raises HdfsFull, HdfsError."""
    plans = [(staged, *still_missing(target, staged)) for staged in wanted]
    missing = [item for _, _, items in plans for item in items]
    if missing:
        check_room(target, missing, arguments.copies)
    for staged, folder, items in plans:
        if items:
            target.make_folder(folder)
        position = {item.key: number for number, item in enumerate(staged.objects)}
        yield from (
            (folder, item) for item in items if position[item.key] % arguments.count == arguments.index
        )


def fetch(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Fetch this node's share; return what was done."""
    store, target = open_store(settings), target_files(arguments)
    wanted = stored_sets(store, arguments.dataset, arguments.size)
    if not wanted:
        return what_there_is(store, arguments.dataset)
    work = list(share_of(target, wanted, arguments))
    local, stop = threading.local(), threading.Event()
    progress = Progress(
        arguments.progress,
        len(work),
        sum(item.bytes for _, item in work),
        {"objects": 0, "bytes": 0, "shown": 0.0},
        threading.Lock(),
    )

    def do(job: tuple[str, SetFile]) -> None:
        if stop.is_set():
            return
        try:
            fetch_one(settings, arguments, *job, local)
            progress.add(job[1].bytes)
        except BaseException:
            stop.set()
            raise

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(do, work):
                pass
    except (StoreError, HdfsError, OSError) as error:
        done = int(progress.state["objects"])
        raise Failure(
            f"{error}; {done} of this node's {len(work)} objects are in HDFS, "
            "the same command goes on from there"
        ) from error
    if arguments.folder:
        publish(arguments, settings)
    complete = all(is_complete(*still_missing(target, staged), staged) for staged in wanted)
    return {"changed": bool(work), "complete": complete, "objects": len(work), "bytes": progress.total_bytes}


def publish(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Give sets that came in whole their final name; return what was done. Raises Failure."""
    store, target = open_store(settings), target_files(arguments)
    published = []
    for staged in stored_sets(store, arguments.dataset, arguments.size):
        folder, missing = still_missing(target, staged)
        if missing:
            raise Failure(
                f"{len(missing)} of {len(staged.objects)} objects of {staged.name} are not in HDFS yet"
            )
        if folder == staged.folder:
            continue
        note, size = BytesIO(staged.manifest), len(staged.manifest)
        target.write(f"{folder}/{sets.STAGED_MANIFEST}", note, size, copies=arguments.copies)
        target.remove(staged.folder)
        target.rename(folder, staged.folder)
        published.append(staged.name)
    return {"changed": bool(published), "complete": True, "published": published}


def main() -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(prog="muster-stage", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("verb", choices=("fetch", "publish"))
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--size", type=int, required=True)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--namenode", help="URL of its web interface")
    place.add_argument("--folder", help="a folder of this node, instead of HDFS")
    parser.add_argument("--index", type=int, default=0, help="this node's number, from 0")
    parser.add_argument("--count", type=int, default=1, help="number of nodes that fetch")
    parser.add_argument("--copies", type=int, default=1, help="copies that HDFS keeps of each block")
    parser.add_argument("--progress", default="", help="file for a line about how far the program is")
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    arguments = parser.parse_args()
    try:
        verb = fetch if arguments.verb == "fetch" else publish
        result = verb(arguments, Settings.load(arguments.settings))
    except (Failure, StoreError, HdfsError) as error:
        print(f"muster-stage: {error}", file=sys.stderr)
        return 1
    finally:
        if arguments.progress:
            Path(arguments.progress).unlink(missing_ok=True)
    if result.get("missing"):
        sizes = ", ".join(map(str, result["sizes"])) or "none"
        wanted = f"{arguments.dataset} at {arguments.size} pixels"
        print(f"muster-stage: the object store has no {wanted} (sizes that exist: {sizes})", file=sys.stderr)
    print(json.dumps(result))
    return MISSING if result.get("missing") else 0
