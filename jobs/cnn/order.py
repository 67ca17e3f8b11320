"""In which order rows are gone through: decided by the seed and the number of the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from images import Group
from numpy.typing import NDArray

WINDOW_BYTES = 32 * 2**20
"""Pictures, as PNG, among which rows are shuffled: so much of a set is in memory at a time."""
GROUPS, ROWS, CHANGES = 1, 2, 3
"""What is drawn."""


def draws(what: int, seed: int, epoch: int, number: int = 0) -> np.random.Generator:
    """Return the random numbers of one thing in one epoch; another thing's are others."""
    return np.random.default_rng((seed, what, epoch, number))


def windows(
    groups: Sequence[Group], *, seed: int, epoch: int, limit: int = WINDOW_BYTES
) -> Iterator[list[Group]]:
    """Yield all groups in the epoch's order, as many at a time as fit into `limit` bytes, at least one."""
    window: list[Group] = []
    for place in draws(GROUPS, seed, epoch).permutation(len(groups)):
        group = groups[place]
        if window and sum(each.bytes for each in window) + group.bytes > limit:
            yield window
            window = []
        window.append(group)
    if window:
        yield window


def batches(
    places: Sequence[int], size: int, *, seed: int, epoch: int, window: int
) -> list[NDArray[np.int64]]:
    """Return the places of a window's rows, shuffled, in batches of about `size` rows, all but equal."""
    if not places:
        return []
    shuffled = draws(ROWS, seed, epoch, window).permutation(np.asarray(places, dtype=np.int64))
    return np.array_split(shuffled, max(1, round(len(shuffled) / size)))
