"""`muster-stage`: put this node's share of a preprocessed data set into HDFS, or all of it into a folder.

    muster-stage fetch   --dataset digits --size 64 --namenode http://master:9870 --index 0 --count 3
    muster-stage join    --dataset digits --size 64 --namenode http://master:9870 --index 0 --count 3
    muster-stage publish --dataset digits --size 64 --namenode http://master:9870
    muster-stage fetch   --dataset digits --size 64 --folder /data     (publishes, too)

`fetch` runs on every node: of what HDFS does not have yet of the objects that the manifest names it takes
its share (see `plan`) into a folder that carries the manifest's digest, where nothing appears that has
another SHA-256. `join`, once all have fetched, puts this node's share of the large objects together from
their ranges and checks those files, too. `publish` runs on one node when all are there: it joins what was
left, adds the manifest to that folder and renames it to its final name.
Whatever stops a run, the next one goes on where it was, and nobody ever sees half a set.

Prints one line of JSON. Exit status 3: the object store does not have the set; 4: it has one that was made
with other settings than those asked for (`--prepared`), and nothing was fetched.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import Any

from muster_node import files, sets
from muster_node.hdfs.folder import Folder
from muster_node.hdfs.webhdfs import Hdfs, HdfsError, HdfsFull
from muster_node.preparation import OtherSettings, read_description, require_same
from muster_node.staging.joining import join
from muster_node.staging.plan import COMING, RANGES, Job, Piece, deal, pieces
from muster_node.staging.standing import StagedSet, standing, stored_sets, what_there_is
from muster_node.staging.transfer import Failure, Target, move
from muster_node.stores.base import SETTINGS, Settings, StoreError
from muster_node.stores.open import open_store

# Most of a thread's time is waiting: for HDFS to confirm, of small objects for the store to begin.
THREADS = 8
SMALL_AT_ONCE = 24
MISSING, OTHER = 3, 4


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


def check_room(target: Target, missing: Sequence[Piece], copies: int) -> None:
    """Raise HdfsFull when HDFS has no room for what is missing."""
    free = target.room()
    needed = sum(piece.length for piece in missing) * copies
    if needed > free:
        mib = 1 << 20
        raise HdfsFull(
            f"{target.place} has no room: {needed / mib:,.0f} MiB are needed ({copies} copies of each "
            f"block), {free / mib:,.0f} MiB are free; delete files or add nodes, "
            "then run the same command again"
        )


def share_of(target: Target, wanted: Sequence[StagedSet], arguments: argparse.Namespace) -> list[Job]:
    """Return what this node has to bring, the largest first. Makes the folders.

    Raises HdfsFull, HdfsError.
    """
    stand = [(staged, standing(target, staged)) for staged in wanted]
    missing = [piece for _, there in stand for piece in there.missing]
    if missing:
        check_room(target, missing, arguments.copies)
    cut, every, absent = isinstance(target, Hdfs), [], set()
    for staged, there in stand:
        folder = there.folder
        for place in (folder, f"{folder}/{COMING}", f"{folder}/{RANGES}") if there.missing else ():
            target.make_folder(place)
        every += [Job(staged.name, folder, piece) for piece in pieces(staged.files, cut=cut)]
        absent |= {Job(staged.name, folder, piece) for piece in there.missing}
    # All is dealt, not what is missing: other nodes are at work, and see something else missing.
    return [job for job in deal(every, arguments.count)[arguments.index] if job in absent]


def fetch(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Fetch this node's share; return what was done."""
    store, target = open_store(settings), target_files(arguments)
    wanted = stored_sets(store, arguments.dataset, arguments.size)
    if not wanted:
        return what_there_is(store, arguments.dataset)
    told = partial(read_description, store, arguments.dataset)
    try:
        require_same(arguments.prepared, [staged.made for staged in wanted], told)
    except OtherSettings as error:
        return {"changed": False, "error": str(error)}
    work = share_of(target, wanted, arguments)
    local, stop = threading.local(), threading.Event()
    progress = Progress(
        arguments.progress,
        len(work),
        sum(job.piece.length for job in work),
        {"objects": 0, "bytes": 0, "shown": 0.0},
        threading.Lock(),
    )

    def do(job: Job, small: ThreadPoolExecutor) -> None:
        if stop.is_set():
            return
        try:
            if not hasattr(local, "target"):
                local.target = target_files(arguments)
            move(job, store, local.target, small, copies=arguments.copies)
            progress.add(job.piece.length)
        except BaseException:
            stop.set()
            raise

    try:
        with ThreadPoolExecutor(SMALL_AT_ONCE) as small, ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(do, work, repeat(small)):
                pass
    except (StoreError, HdfsError, OSError) as error:
        done = int(progress.state["objects"])
        raise Failure(
            f"{error}; {done} of this node's {len(work)} pieces are in {target.place}, "
            "the same command goes on from there"
        ) from error
    if arguments.folder:
        publish(arguments, settings)
    complete = all(standing(target, staged).complete for staged in wanted)
    found = {"changed": bool(work), "complete": complete, "objects": len(work), "bytes": progress.total_bytes}
    every = pieces((file for staged in wanted for file in staged.files), cut=not arguments.folder)
    if not complete and len({piece.file for piece in every if not piece.whole}) > 1:
        found["ranges"] = True  # one file alone is joined by `publish` as well
    source = wanted[-1].made.source
    return found | ({"source": source} if source else {})


def join_share(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Put this node's share of the large files together; return what was done. Raises Failure."""
    store, target = open_store(settings), Hdfs(arguments.namenode)
    joined = 0
    for staged in stored_sets(store, arguments.dataset, arguments.size):
        there = standing(target, staged)
        large = {piece.file for piece in pieces(staged.files, cut=True) if not piece.whole}
        dealt = deal(
            [Job(staged.name, there.folder, piece) for piece in pieces(large, cut=False)], arguments.count
        )
        mine = {job.piece.file for job in dealt[arguments.index]} & set(there.unjoined)
        # Of other nodes' files ranges are missing while those nodes join them.
        require_all(target, staged, [piece for piece in there.missing if piece.file in mine])
        join(lambda: Hdfs(arguments.namenode), there.folder, sorted(mine, key=lambda file: file.name))
        joined += len(mine)
    return {"changed": joined > 0, "joined": joined}


def require_all(target: Target, staged: StagedSet, missing: Sequence[Piece]) -> None:
    """Raise Failure when something is missing."""
    if missing:
        names = {piece.file.name for piece in missing}
        raise Failure(
            f"{len(names)} of {len(staged.files)} files of {staged.name} are not in {target.place} yet"
        )


def publish(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """Give sets that came in whole their final name; return what was done. Raises Failure."""
    store, target = open_store(settings), target_files(arguments)
    published = []
    for staged in stored_sets(store, arguments.dataset, arguments.size):
        there = standing(target, staged)
        folder = there.folder
        require_all(target, staged, there.missing)
        if isinstance(target, Hdfs):
            join(lambda: Hdfs(arguments.namenode), folder, there.unjoined)
        for place in (COMING, RANGES):
            target.remove(f"{folder}/{place}")
        if there.published:
            continue
        note, size = BytesIO(staged.manifest), len(staged.manifest)
        target.write(f"{folder}/{sets.STAGED_MANIFEST}", note, size, copies=arguments.copies)
        target.remove(staged.folder)
        target.rename(folder, staged.folder)
        published.append(staged.name)
    return {"changed": bool(published), "complete": True, "published": published}


VERBS = {"fetch": fetch, "join": join_share, "publish": publish}


def main() -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(prog="muster-stage", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("verb", choices=VERBS)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--size", type=int, required=True)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--namenode", help="URL of its web interface")
    place.add_argument("--folder", help="a folder of this node, instead of HDFS")
    parser.add_argument("--index", type=int, default=0, help="this node's number, from 0")
    parser.add_argument("--count", type=int, default=1, help="number of nodes that fetch")
    parser.add_argument("--copies", type=int, default=1, help="copies that HDFS keeps of each block")
    parser.add_argument("--progress", default="", help="file for a line about how far the program is")
    parser.add_argument("--prepared", type=json.loads, default={}, help="with which settings, as JSON")
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    arguments = parser.parse_args()
    try:
        result = VERBS[arguments.verb](arguments, Settings.load(arguments.settings))
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
    if result.get("error"):
        print(f"muster-stage: {result['error']}", file=sys.stderr)
    print(json.dumps(result))
    return MISSING if result.get("missing") else OTHER if result.get("error") else 0
