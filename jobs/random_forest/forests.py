"""Forests that scikit-learn grows apart, and the one forest that they make together. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

BYTES_PER_PIXEL = 4
"""scikit-learn's trees read numbers of 32 bits; rows that are so from the start are not copied."""
BYTES_PER_NODE = 64
"""Of a tree's node, without the share of each class in it (8 bytes each)."""

BYTES_PER_SORTED_ROW = 40
"""Of the row's place, weight and value, which a tree sorts while it grows."""
BOOTSTRAP = 0.632
"""The part of the rows that a tree sees, some of them more than once."""


def shares(trees: int, growers: int) -> list[int]:
    """Return how many trees each of the growers has to grow; those that would have none are left out."""
    return [count for count in (len(range(one, trees, growers)) for one in range(growers)) if count]


def memory(*, rows: int, columns: int, classes: int, trees: int, depth: int, cores: int) -> int:
    """Return the bytes that growing takes at most: the rows, the trees, and what is sorted on each core."""
    return (
        BYTES_PER_PIXEL * (rows + classes) * columns
        + trees * tree_memory(rows=rows, classes=classes, depth=depth)
        + BYTES_PER_SORTED_ROW * rows * cores
    )


def tree_memory(*, rows: int, classes: int, depth: int) -> int:
    """Return the bytes of the largest tree: all its levels are full, or each row that it saw has a leaf."""
    return round(2 * min(BOOTSTRAP * rows, 2.0**depth)) * (BYTES_PER_NODE + 8 * classes)


def collect(
    read: Iterable[tuple[int, NDArray[np.generic]]],
    *,
    rows: int,
    columns: int,
    classes: int,
    share: float,
    seed: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Put rows into one matrix, each once; of `share` < 1 a random part of them.

    The matrix ends with a row of zeros for each class: see `grow`.

    Args:
        read: (label, pixels) of every row.
        rows: how many those are.
        columns: pixels of a row.
        classes: labels are 0 … classes - 1.
        share: the part of the rows that is taken, over 0 and at most 1.
        seed: decides which.

    Returns:
        Pixels (taken + classes, columns) and labels (taken + classes).

    Raises:
        ValueError: there are not `rows` rows.
    """
    taken = np.zeros(rows, dtype=bool)
    taken[np.random.default_rng(seed).permutation(rows)[: max(1, round(share * rows))]] = True
    count = int(taken.sum())
    pixels = np.zeros((count + classes, columns), dtype=np.float32)
    labels = np.zeros(count + classes, dtype=np.int64)
    labels[count:] = np.arange(classes)
    place, seen = 0, 0
    for label, row in read:
        if seen < rows and taken[seen]:
            pixels[place], labels[place] = row, label
            place += 1
        seen += 1
    if seen != rows:
        raise ValueError(f"{seen:,} rows were read where there should be {rows:,}")
    return pixels, labels


def grow(
    pixels: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    classes: int,
    trees: int,
    max_depth: int,
    weights: Sequence[float] | None,
    seed: int,
    cores: int,
) -> RandomForestClassifier:
    """Grow a forest that knows all classes, also those that its rows have none of.

    The last `classes` rows, one of each class, weigh nothing: they decide no split, but make every forest
    number its classes alike, so that forests of different rows may be combined.

    Args:
        pixels: see `collect`.
        labels: likewise.
        classes: how many there are.
        trees: how many are grown.
        max_depth: levels of a tree below its root.
        weights: what a row of each class weighs, None = 1.
        seed: of the trees; two forests to be combined have different ones.
        cores: trees that grow at the same time.
    """
    from sklearn.ensemble import RandomForestClassifier

    weight = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=float)[labels]
    weight[len(labels) - classes :] = 0
    forest = RandomForestClassifier(n_estimators=trees, max_depth=max_depth, random_state=seed, n_jobs=cores)
    return forest.fit(pixels, labels, sample_weight=weight)


def combine(forests: Iterable[Any]) -> RandomForestClassifier:
    """Join forests into one, whose vote is that of all their trees. Raises ValueError: they do not match."""
    joined: Any = None
    for forest in forests:
        if joined is None:
            joined = forest
            continue
        if list(forest.classes_) != list(joined.classes_) or forest.n_features_in_ != joined.n_features_in_:
            raise ValueError("forests of other classes or other pixels cannot be joined")
        joined.estimators_ += forest.estimators_
    if joined is None:
        raise ValueError("there is no forest to join")
    joined.n_estimators = len(joined.estimators_)
    return joined
