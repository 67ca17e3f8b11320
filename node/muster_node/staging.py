#!/usr/bin/python3
"""Put this node's share of a preprocessed data set into HDFS, or all of it into a folder of this node.

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
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

sys.path.insert(0, "/opt/muster/lib")

import muster_folder
import muster_s3
import muster_webhdfs

Files = muster_webhdfs.Client | muster_folder.Client

PARTS = ("test", "holdout", "train")
NOTE = "_manifest.json"
# Most of a thread's time is waiting for HDFS to confirm.
THREADS = 8
IN_MEMORY = 24 << 20
SCRATCH = Path("/data/scratch")
MISSING = 3


class Failure(Exception):
    """Staging cannot go on; the text is one line."""


@dataclass(frozen=True)
class StagedSet:
    """One set: what its manifest says, and where it goes in HDFS."""

    name: str
    manifest: bytes
    objects: tuple[dict[str, Any], ...]
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
            if self.path and time.monotonic() - self.state["shown"] > 0.5:
                self.state["shown"] = time.monotonic()
                done, mib = int(self.state["objects"]), 1 << 20
                with suppress(OSError):
                    Path(self.path).write_text(
                        f"staging: {done} of {self.total} objects, "
                        f"{self.state['bytes'] / mib:.0f} of {self.total_bytes / mib:.0f} MiB\n"
                    )


def files_of(arguments: argparse.Namespace) -> Files:
    """Return where the set goes: HDFS, or a folder of this node."""
    if arguments.folder:
        return muster_folder.Client(Path(arguments.folder))
    return muster_webhdfs.Client(arguments.namenode)


def sets_of(store: muster_s3.Client, dataset: str, size: int) -> list[StagedSet]:
    """Return the sets of one size; empty when the training set is not there. Raises StoreError."""
    found = []
    for part in PARTS:
        try:
            content = store.get(f"{dataset}/{part}_{size}/manifest.json")
        except muster_s3.NotFound:
            continue
        name, digest, home = (
            f"{part}_{size}",
            hashlib.sha256(content).hexdigest()[:12],
            f"/datasets/{dataset}",
        )
        found.append(
            StagedSet(
                name=name,
                manifest=content,
                objects=tuple(json.loads(content)["objects"]),
                folder=f"{home}/{name}",
                incoming=f"{home}/_incoming_{name}_{digest}",
            )
        )
    return found if found and found[-1].name == f"train_{size}" else []


def what_there_is(store: muster_s3.Client, dataset: str) -> dict[str, Any]:
    """Return which sizes the object store has, and whether it has the raw data. Raises StoreError."""
    prefix = f"{dataset}/train_"
    sizes = {
        int(key.removeprefix(prefix).partition("/")[0])
        for key, _ in store.names(prefix)
        if key.endswith("/manifest.json") and key.removeprefix(prefix).partition("/")[0].isdigit()
    }
    raw = any(key == f"{dataset}/raw/labels.csv" for key, _ in store.names(f"{dataset}/raw/labels.csv"))
    return {"missing": True, "changed": False, "sizes": sorted(sizes), "raw": raw}


def name_of(item: dict[str, Any]) -> str:
    """An object's file name."""
    return str(item["key"]).rpartition("/")[2]


def target_of(hdfs: Files, staged: StagedSet) -> tuple[str, list[dict[str, Any]]]:
    """Return where the set's files belong now, and the objects that are not there yet. Raises HdfsError.

    That is the final folder when it was made from this very manifest, else the folder for what comes in.
    """
    folder = staged.folder if hdfs.read(f"{staged.folder}/{NOTE}") == staged.manifest else staged.incoming
    there = hdfs.lengths(folder) or {}
    return folder, [item for item in staged.objects if there.get(name_of(item)) != item["bytes"]]


def is_complete(folder: str, missing: Sequence[dict[str, Any]], staged: StagedSet) -> bool:
    """Say whether the set is published and whole."""
    return folder == staged.folder and not missing


def fetch_one(
    settings: muster_s3.Settings,
    arguments: argparse.Namespace,
    folder: str,
    item: dict[str, Any],
    local: threading.local,
) -> None:
    """Take one object from the store into HDFS. Raises StoreError, HdfsError, Failure."""
    if not hasattr(local, "store"):
        local.store, local.hdfs = muster_s3.client(settings), files_of(arguments)
    with tempfile.SpooledTemporaryFile(
        max_size=IN_MEMORY, dir=SCRATCH if SCRATCH.is_dir() else None
    ) as spool:
        try:
            digest = local.store.download(item["key"], spool)
        except muster_s3.NotFound as error:
            raise Failure(
                f"{error}, though the set's manifest names it; delete the set and run main.yml again"
            ) from error
        if digest != item["sha256"]:
            raise Failure(
                f"{item['key']} in the object store is damaged: SHA-256 {digest[:12]}, "
                f"wanted {item['sha256'][:12]}; delete the set and run main.yml again"
            )
        local.hdfs.write(f"{folder}/{name_of(item)}", spool, item["bytes"], copies=arguments.copies)


def check_room(hdfs: Files, missing: Sequence[dict[str, Any]], copies: int) -> None:
    """Raise HdfsFull when HDFS has no room for what is missing."""
    free = hdfs.room()
    needed = sum(item["bytes"] for item in missing) * copies
    if needed > free:
        mib = 1 << 20
        place = "HDFS" if isinstance(hdfs, muster_webhdfs.Client) else "the data disk"
        raise muster_webhdfs.HdfsFull(
            f"{place} has no room: {needed / mib:,.0f} MiB are needed ({copies} copies of each block), "
            f"{free / mib:,.0f} MiB are free; delete files or add nodes, then run the same command again"
        )


def work_of(
    hdfs: Files, sets: Sequence[StagedSet], share: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What this node has to fetch: (folder, object). Makes the folders. Raises HdfsFull, HdfsError."""
    plans = [(staged, *target_of(hdfs, staged)) for staged in sets]
    missing = [item for _, _, items in plans for item in items]
    if missing:
        check_room(hdfs, missing, share.copies)
    for staged, folder, items in plans:
        if items:
            hdfs.make_folder(folder)
        position = {item["key"]: number for number, item in enumerate(staged.objects)}
        yield from ((folder, item) for item in items if position[item["key"]] % share.count == share.index)


def fetch(arguments: argparse.Namespace, settings: muster_s3.Settings) -> dict[str, Any]:
    """Fetch this node's share; return what was done."""
    store, hdfs = muster_s3.client(settings), files_of(arguments)
    sets = sets_of(store, arguments.dataset, arguments.size)
    if not sets:
        return what_there_is(store, arguments.dataset)
    work = list(work_of(hdfs, sets, arguments))
    local, stop = threading.local(), threading.Event()
    progress = Progress(
        arguments.progress,
        len(work),
        sum(item["bytes"] for _, item in work),
        {"objects": 0, "bytes": 0, "shown": 0.0},
        threading.Lock(),
    )

    def do(job: tuple[str, dict[str, Any]]) -> None:
        if stop.is_set():
            return
        try:
            fetch_one(settings, arguments, *job, local)
            progress.add(job[1]["bytes"])
        except BaseException:
            stop.set()
            raise

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(do, work):
                pass
    except (muster_s3.StoreError, muster_webhdfs.HdfsError, OSError) as error:
        done = int(progress.state["objects"])
        raise Failure(
            f"{error}; {done} of this node's {len(work)} objects are in HDFS, "
            "the same command goes on from there"
        ) from error
    if arguments.folder:
        publish(arguments, settings)
    complete = all(is_complete(*target_of(hdfs, staged), staged) for staged in sets)
    return {"changed": bool(work), "complete": complete, "objects": len(work), "bytes": progress.total_bytes}


def publish(arguments: argparse.Namespace, settings: muster_s3.Settings) -> dict[str, Any]:
    """Give sets that came in whole their final name; return what was done. Raises Failure."""
    store, hdfs = muster_s3.client(settings), files_of(arguments)
    published = []
    for staged in sets_of(store, arguments.dataset, arguments.size):
        folder, missing = target_of(hdfs, staged)
        if missing:
            raise Failure(
                f"{len(missing)} of {len(staged.objects)} objects of {staged.name} are not in HDFS yet"
            )
        if folder == staged.folder:
            continue
        hdfs.write(
            f"{folder}/{NOTE}", BytesIO(staged.manifest), len(staged.manifest), copies=arguments.copies
        )
        hdfs.remove(staged.folder)
        hdfs.rename(folder, staged.folder)
        published.append(staged.name)
    return {"changed": bool(published), "complete": True, "published": published}


def main() -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
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
    parser.add_argument("--settings", type=Path, default=muster_s3.SETTINGS)
    arguments = parser.parse_args()
    try:
        verb = fetch if arguments.verb == "fetch" else publish
        result = verb(arguments, muster_s3.Settings.load(arguments.settings))
    except (Failure, muster_s3.StoreError, muster_webhdfs.HdfsError) as error:
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


if __name__ == "__main__":
    sys.exit(main())
