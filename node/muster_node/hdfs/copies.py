"""How many copies HDFS keeps of files: three, or as many as there are DataNodes where these are fewer.

Files are written so. When DataNodes come or go, those files follow that have what was the most before. RECORD
has that number, so that what a killed run has left is done by the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from muster_node.hdfs.webhdfs import Hdfs

MOST = 3
RECORD = Path("/var/lib/muster/hdfs-copies")
SLICE_S = 60.0
"""Seconds for one call; the next goes on."""


def follow(hdfs: Hdfs, most: int) -> int:
    """Give files more copies when there can be more than before; return how many files. Raises HdfsError."""
    last, changed, all_of_them = _recorded(), 0, True
    if 0 < last < most:
        changed, all_of_them = _set(hdfs, lambda copies: copies == last, most)
    if last != most and all_of_them:
        _record(most)
    return changed


def lower(hdfs: Hdfs, most: int) -> None:
    """Let no file have more copies than `most`, which `follow` was told before. Raises HdfsError."""
    _set(hdfs, lambda copies: copies > most, most)


def _set(hdfs: Hdfs, wrong: Callable[[int], bool], copies: int) -> tuple[int, bool]:
    """Return how many files were changed, and whether none is left that was there from begin to end."""
    end, changed = time.monotonic() + SLICE_S, 0
    while paths := [path for path, at in hdfs.files("") if at.copies and wrong(at.copies)]:
        for path in paths:  # and once more after that: one may have been renamed meanwhile
            if time.monotonic() > end:
                return changed, False
            changed += hdfs.set_copies(path, copies)
    return changed, True


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
