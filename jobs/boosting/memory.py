"""How much memory boosting takes, before it starts: pure arithmetic, held against peaks that were measured.

With XGBoost 3.2, of two classes (rows x columns, depth: MiB at the peak beyond Python and the rows as they
were read, and what is told here of it; trees of few rows do not have all the nodes that are told):

    1,000 x 4,096, 6:   189     374
    8,000 x 4,096, 8:   503     753
"""

from __future__ import annotations

import math

from muster_node.footprint import DRIVER_HEAP_MB, DRIVER_PYTHON_MB, MIB

BINS = 32
"""Of a pixel's values, which are told apart by fewer than the 256 that there are."""
SKETCH_BYTES = 48 * 1024
"""Of a pixel, while the bins are looked for."""
HISTOGRAM_BYTES = 16
"""Of a bin: the sums of two derivatives, as doubles."""
TREE_NODE_BYTES = 64
ROW_BYTES = 24
"""Of a row and class: what is said of it, and both derivatives."""


def needed_mb(
    *, rows: int, held: int, columns: int, classes: int, rounds: int, depth: int, normalised: bool
) -> int:
    """Return the MiB that a process takes at most, Spark's driver among them.

    Args:
        rows: to learn from or to ask after each round.
        held: rows that wait as bytes to be scored.
        columns: pixels of a row.
        classes: how many there are; each has a tree a round.
        rounds: at most so many.
        depth: levels of a tree below its root.
        normalised: whether pictures are normalised: a block of them is there twice then.
    """
    nodes = min(2.0**depth, rows)
    block = 4 * (3 if normalised else 1) * 4 * MIB
    pixels = 2 * rows * columns + held * columns + block
    histograms = nodes * columns * BINS * HISTOGRAM_BYTES
    trees = 2 * nodes * rounds * classes * TREE_NODE_BYTES
    whole = pixels + SKETCH_BYTES * columns + histograms + trees + ROW_BYTES * rows * classes
    return DRIVER_PYTHON_MB + DRIVER_HEAP_MB + math.ceil(whole / MIB)


def shortage(needed: int, free_mb: int) -> str:
    """Return why this cannot be done, '' when it can."""
    if needed <= free_mb:
        return ""
    return (
        f"boosting may take {needed:,} MiB, and the master has {free_mb:,}: take a smaller sample, max_depth "
        "or size, or a master with more memory"
    )
