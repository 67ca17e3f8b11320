"""Results and Spark's event logs in object storage, where they outlive the machines.

results/<run>/run.json, log and the files of the run's results, those in HDFS too
spark-events/<cluster>/<application>
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from muster_node.hdfs.webhdfs import Hdfs, HdfsError
from muster_node.queue import records, results
from muster_node.queue.records import Record
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store

HDFS_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Item:
    """Something to upload: its key in the store, its bytes, and what opens it (None = it has gone)."""

    key: str
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes] | None]]


def upload(settings: Mapping[str, Any], deadline: float) -> tuple[int, list[str]]:
    """Upload what the store does not have; returns how many files that were, and what went wrong in words.

    Small files first, so that a checkpoint of many gigabytes does not cost everything else its time.

    Args:
        settings: `namenode_url` ('' = no HDFS) and `events` (the prefix of event logs).
        deadline: seconds since the epoch; nothing is begun after it.
    """
    wrong: list[str] = []
    items: list[Item] = []
    for record in records.every():
        try:
            items += _local(record)
        except Exception as error:  # noqa: BLE001  what one job has left must not cost the others
            wrong.append(f"results of {record.run}: {' '.join(str(error).split())}")
    try:
        items += _distributed(str(settings["namenode_url"]), str(settings["events"]))
    except (HdfsError, ValueError) as error:
        wrong.append(f"HDFS does not list what it has ({error})")
    try:
        store = open_store(Settings.load())
        there = {name: size for prefix in ("results/", "spark-events/") for name, size in store.names(prefix)}
    except Exception as error:  # noqa: BLE001  the machines end; what went wrong is recorded
        return 0, [*wrong, " ".join(str(error).split())]
    unique = {item.key: item for item in reversed(items)}  # what lies here before what lies in HDFS
    uploaded = 0
    for item in sorted(unique.values(), key=lambda item: item.size):
        if there.get(item.key) == item.size:
            continue
        if time.time() >= deadline:
            wrong.append(f"no time left for {item.key}")
            continue
        try:
            with item.open() as source:
                if source is None:
                    raise OSError("it has gone")
                store.upload(item.key, source, item.size)
            uploaded += 1
        except Exception as error:  # noqa: BLE001  one file that fails must not cost the others
            wrong.append(f"{item.key}: {' '.join(str(error).split())}")
    return uploaded, wrong


def _local(record: Record) -> Iterator[Item]:
    """What a run has left in its folder on this machine."""
    home, key = records.folder(record.run), f"results/{record.run}"
    told = json.dumps(records.describe(record, whole=True)).encode()  # of its environment the names only
    yield Item(f"{key}/run.json", len(told), partial(io.BytesIO, told))
    for path in [home / "log", *results.files(home / "results")]:
        if path.is_file():
            name = path.relative_to(home).as_posix().removeprefix("results/")
            yield Item(f"{key}/{name}", path.stat().st_size, partial(_open, path))


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _distributed(url: str, events: str) -> Iterator[Item]:
    """What lies in HDFS: results that jobs wrote there themselves, and event logs. Raises HdfsError."""
    hdfs = Hdfs(url, timeout_s=HDFS_TIMEOUT_S)
    for folder, prefix in (("/results", "results"), ("/spark-events", events)) if url else ():
        for path, size in hdfs.walk(folder):
            yield Item(f"{prefix}{path.removeprefix(folder)}", size, partial(hdfs.open, path))
