"""Ranges of one object become one file of HDFS, which is then read once and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from muster_node.hdfs.webhdfs import Hdfs, HdfsError
from muster_node.staging.plan import RANGES, StagedFile, pieces
from muster_node.staging.transfer import Failure, mismatch

THREADS = 4


def join(connect: Callable[[], Hdfs], folder: str, found: Sequence[StagedFile]) -> None:
    """Make files of their ranges, all of which are there. Raises Failure, HdfsError, OSError.

    Args:
        connect: gives a client for one thread.
        folder: the set's, in HDFS.
        found: the files; where one was put together already, its ranges are fetched again.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda file: _join(connect(), folder, file), found))


def _join(hdfs: Hdfs, folder: str, file: StagedFile) -> None:
    first, *others = [f"{folder}/{RANGES}/{piece.name}" for piece in pieces([file], cut=True)]
    hdfs.concat(first, others)
    digest, read, (item,) = hashlib.sha256(), 0, file.members
    with hdfs.open(first) as stream:
        while stream and (block := stream.read(1 << 20)):
            digest.update(block)
            read += len(block)
    if read < file.bytes:  # a connection that ends early looks like the end of the file
        raise HdfsError(f"HDFS broke off after {read:,} of {file.bytes:,} bytes of {first}; run it again")
    if digest.hexdigest() != item.sha256:
        hdfs.remove(first)
        raise Failure(f"{mismatch(item, digest.hexdigest())}; delete the set and run main.yml again")
    hdfs.replace(first, f"{folder}/{file.name}")
