"""Lines of prepared sets, a row each, read one by one by the Python of an executor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from prepared import FILES

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

QUOTED = re.compile(r'"((?:[^"]|"")*)",')
Pixels = NDArray[np.uint8]


class BadRow(ValueError):
    """A row that no prepared set has; the text is one line."""


def split(line: str) -> tuple[str, str]:
    """Return a row's first cell (label or id, without quotes) and the rest, `pixel,pixel,…`.

    `line` is CSV as preprocessing writes it: only the first cell may be in quotes.
    """
    if quoted := QUOTED.match(line):
        return quoted[1].replace('""', '"'), line[quoted.end() :]
    first, _, rest = line.partition(",")
    return first, rest


def parse(line: str, columns: int) -> tuple[str, Pixels]:
    """Return a row's first cell and its pixels, which are as many as `columns`. Raises BadRow."""
    first, rest = split(line)
    pixels = np.fromstring(rest, dtype=np.uint8, sep=",") if rest else np.empty(0, np.uint8)
    if len(pixels) != columns:
        raise BadRow(f"the row of {first[:80]!r} has {len(pixels):,} pixels where its set has {columns:,}")
    return first, pixels


def parsed(found: Iterable[str], columns: int) -> Iterator[tuple[str, Pixels]]:
    """Yield the row of every line; see `parse`."""
    for line in found:
        yield parse(line, columns)


def of_set(spark: SparkSession, folder: str) -> RDD:
    """Return the lines of a set in their order, a partition for each of its files."""
    return spark.sparkContext.textFile(f"{folder}/{FILES}")
