"""How many copies HDFS keeps of files: three, or as many as there are DataNodes where these are fewer.

Files are written so. When DataNodes come or go, those files follow that have what was the most before. RECORD
has that number, so that what a killed run has left is done by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from muster_node.hdfs.webhdfs import Hdfs

MOST = 3
RECORD = Path("/var/lib/muster/hdfs-copies")
PASSES = 5
"""A file that is renamed between look and change is met again by the next pass."""


def lower(hdfs: Hdfs, most: int) -> None:
    """Let no file have more copies than `most`: HDFS would wait for room for the others. Raises HdfsError."""
    last = _recorded()
    if not last or most < last:
        _record(most)
    _set(hdfs, lambda copies: copies > most, most)


def follow(hdfs: Hdfs, most: int) -> int:
    """Give files more copies when there can be more than before; return how many files. Raises HdfsError."""
    last, changed = _recorded(), 0
    if last == most:
        return 0
    if 0 < last < most:
        changed = _set(hdfs, lambda copies: copies == last, most)
    _record(most)
    return changed


def _set(hdfs: Hdfs, wrong: Callable[[int], bool], copies: int) -> int:
    changed = 0
    for _ in range(PASSES):
        paths = list(_files(hdfs, "", wrong))
        changed += sum(hdfs.set_copies(path, copies) for path in paths)
        if not paths:
            break
    return changed


def _files(hdfs: Hdfs, folder: str, wrong: Callable[[int], bool]) -> Iterator[str]:
    for name, at in (hdfs.listing(folder or "/") or {}).items():
        path = f"{folder}/{name}"
        if at.folder:
            yield from _files(hdfs, path, wrong)
        elif at.copies and wrong(at.copies):
            yield path


def _recorded() -> int:
    try:
        return int(RECORD.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return 0


def _record(most: int) -> None:
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    fresh = RECORD.with_suffix(".new")
    fresh.write_text(f"{most}\n", encoding="utf-8")
    fresh.replace(RECORD)
