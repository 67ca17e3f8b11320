"""The rows of a prepared set: in the driver where they are few, else on the executors.

rows = open_rows(spark, folder, columns=256, parts=0)
total = rows.fold(count, add)       # what `count` makes of the blocks of each part, added up
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import lines
import pixels
from pixels import Block, Draw
from prepared import FILES, file_system, hadoop_path

from muster_node.footprint import FEW_RESULTS

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

Result = TypeVar("Result")
Work = Callable[[Iterable[Block], Any], Result]
"""What is done to the blocks of one part, with what all parts are told."""


class Rows(Protocol):
    """Rows to be gone through any number of times."""

    def fold(
        self, work: Work[Result], merge: Callable[[Result, Result], Result], told: object = None
    ) -> Result:
        """Return what `work` makes of every part, merged.

        Args:
            work: is given the blocks of one part, and `told`.
            merge: puts two results together.
            told: goes to every part.
        """
        ...


class Here:
    """Rows in the driver's memory."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self.blocks = list(blocks)

    def fold(self, work: Work[Result], _: Callable[[Result, Result], Result], told: object = None) -> Result:
        """See Rows."""
        return work(self.blocks, told)


class Spread:
    """Rows on the executors: bytes in memory, and on the disk what memory has no room for."""

    def __init__(self, blocks: RDD[Block]) -> None:
        from pyspark import StorageLevel

        self.blocks = blocks.persist(StorageLevel.MEMORY_AND_DISK)

    def fold(
        self, work: Work[Result], merge: Callable[[Result, Result], Result], told: object = None
    ) -> Result:
        """See Rows."""
        shared = self.blocks.context.broadcast(told)
        depth = 1 if self.blocks.getNumPartitions() <= FEW_RESULTS else 2
        try:
            results = self.blocks.mapPartitions(lambda blocks: [work(blocks, shared.value)])
            total: Result = results.treeReduce(merge, depth)
        finally:
            shared.destroy()
        return total


def open_rows(
    spark: SparkSession, folder: str, *, columns: int, parts: int, draw: Draw | None = None
) -> Rows:
    """Return the rows of a set.

    Args:
        spark: the session.
        folder: of the set, in HDFS.
        columns: pixels of a row.
        parts: at most so many; 0: the rows are read into the driver's memory.
        draw: which rows are taken; all by default.
    """
    taken = draw or Draw()
    if not parts:
        return open_here(spark, folder, columns=columns, draw=taken)
    text = lines.of_set(spark, folder)
    blocks = text.mapPartitionsWithIndex(
        lambda number, found: taken.take(number, pixels.parse(found, columns))
    )
    return Spread(blocks.coalesce(min(parts, text.getNumPartitions())))


def open_here(spark: SparkSession, folder: str, *, columns: int, draw: Draw | None = None) -> Here:
    """Return the rows of a set in the driver's memory; see `open_rows`."""
    taken = draw or Draw()
    return Here(
        block
        for number, text in enumerate(files_here(spark, folder))
        for block in taken.take(number, pixels.parse(text, columns))
    )


def files_here(spark: SparkSession, folder: str) -> Iterator[Iterable[str]]:
    """Return the lines of each file of a set, in the order of their names, read by the driver alone.

    A file is in memory as it is packed, and unpacked line by line.
    """
    pattern = hadoop_path(spark, f"{folder}/{FILES}")
    files = file_system(spark, pattern)
    for status in files.globStatus(pattern):
        stream = files.open(status.getPath())
        try:
            content = bytes(spark._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
        finally:
            stream.close()
        packed = status.getPath().getName().endswith(".gz")
        with (
            gzip.open(io.BytesIO(content), "rt", encoding="utf-8", newline="\n")
            if packed
            else io.StringIO(content.decode(), newline="\n")
        ) as text:
            yield text
