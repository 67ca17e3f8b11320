"""Results and Spark's event logs in object storage, where they outlive the machines.

results/<run>/run.json, log and the files of the run's results, those in HDFS too
spark-events/<cluster>/<application>
"""

from __future__ import annotations

import http.client
import json
import mmap
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from muster_job import records

TIMEOUT_S = 30.0
CHUNK = 1 << 20


@dataclass(frozen=True)
class Item:
    """Something to copy: the file `path` of this machine, or the file at the URL `source`."""

    key: str
    size: int
    path: Path | None = None
    source: str = ""

    def open(self) -> IO[bytes]:
        """Return its content as a stream. Raises OSError."""
        if self.path is not None:
            return self.path.open("rb")
        stream: IO[bytes] = urllib.request.urlopen(self.source, timeout=TIMEOUT_S)  # noqa: S310  our NameNode
        return stream


def keep(settings: Mapping[str, Any], deadline: float) -> tuple[int, list[str]]:
    """Copy what the store does not have; returns how many files were copied, and what went wrong in words.

    Small files first, so that a checkpoint of many gigabytes does not cost everything else its time.

    Args:
        settings: `namenode_url` ('' = no HDFS), `events` (the prefix of event logs), `env` (of jobs).
        deadline: seconds since the epoch; nothing is begun after it.
    """
    import muster_s3

    scratch = dict(settings["env"]).get("TMPDIR")  # on the data disk, where jobs have theirs
    wrong: list[str] = []
    items = list(_local())
    try:
        items += _distributed(str(settings["namenode_url"]), str(settings["events"]))
    except (OSError, ValueError) as error:
        wrong.append(f"HDFS does not list what it has ({error})")
    try:
        client = muster_s3.client(muster_s3.Settings.load())
        there = {
            name: size for prefix in ("results/", "spark-events/") for name, size in client.names(prefix)
        }
    except Exception as error:
        return 0, [*wrong, " ".join(str(error).split())]
    unique = {item.key: item for item in reversed(items)}  # what lies here before what lies in HDFS
    copied = 0
    for item in sorted(unique.values(), key=lambda item: item.size):
        if there.get(item.key) == item.size:
            continue
        if time.time() >= deadline:
            wrong.append(f"no time left for {item.key}")
            continue
        try:
            _send(client, item, scratch)
            copied += 1
        except Exception as error:
            wrong.append(f"{item.key}: {' '.join(str(error).split())}")
    return copied, wrong


def _local() -> Iterator[Item]:
    """What runs have left in their folders on this machine."""
    for record in records.every():
        home = records.folder(record.run)
        found = [home / "run.json", home / "log", *sorted((home / "results").rglob("*"))]
        for path in found:
            if path.is_file():
                name = path.relative_to(home).as_posix().removeprefix("results/")
                yield Item(f"results/{record.run}/{name}", path.stat().st_size, path=path)


def _distributed(url: str, events: str) -> Iterator[Item]:
    """What lies in HDFS: results that jobs wrote there themselves, and event logs. Raises OSError."""
    for folder, prefix in (("/results", "results"), ("/spark-events", events)) if url else ():
        for path, size in _walk(url, folder):
            yield Item(f"{prefix}{path.removeprefix(folder)}", size, source=_url(url, path, "OPEN"))


def _walk(url: str, folder: str) -> Iterator[tuple[str, int]]:
    """Yield (path, bytes) of every file below a folder in HDFS. Raises OSError."""
    try:
        with urllib.request.urlopen(_url(url, folder, "LISTSTATUS"), timeout=TIMEOUT_S) as answer:  # noqa: S310
            entries = json.loads(answer.read())["FileStatuses"]["FileStatus"]
    except urllib.error.HTTPError as error:
        if error.code == http.client.NOT_FOUND:
            return
        raise
    for entry in entries:
        path = f"{folder}/{entry['pathSuffix']}"
        if entry["type"] == "DIRECTORY":
            yield from _walk(url, path)
        else:
            yield path, int(entry["length"])


def _url(url: str, path: str, operation: str) -> str:
    return f"{url}/webhdfs/v1{urllib.parse.quote(path)}?op={operation}&user.name=hadoop"


def _send(client: Any, item: Item, scratch: str | None) -> None:  # noqa: ANN401  muster_s3.Client
    """Send one object out of the page cache: it may be larger than the memory. Raises OSError, StoreError."""
    with item.open() as source, tempfile.TemporaryFile(dir=scratch) as spool:
        if item.path is None:
            shutil.copyfileobj(source, spool, CHUNK)
            spool.flush()
        stream = source if item.path is not None else spool
        if os.fstat(stream.fileno()).st_size == 0:  # there is nothing to map
            client.put(item.key, b"")
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            client.put(item.key, view)
