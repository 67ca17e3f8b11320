"""Batches of a prepared set: read window by window, so that memory is bounded by a window and not by the set.

A set whose pixels are few is unpacked once and kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import images
import numpy as np
import order
from ahead import ahead
from images import Group, Reader, Row
from numpy.typing import NDArray
from selection import Selection

KEPT_BYTES = 64 * 2**20
"""So many pixels at most stay in memory from epoch to epoch."""


@dataclass(frozen=True)
class Batch:
    """Rows that are learnt from at once.

    `number`: of the batch in its epoch; `labels`: of all its rows; `mine`: the places of those that this
    process sees, `pixels`: theirs; `done`: the share of the epoch that lies before it.
    """

    number: int
    labels: Sequence[tuple[int, ...]]
    mine: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    done: float


@dataclass(frozen=True)
class Counted:
    """How many rows a part has, and how many of each class."""

    rows: int
    classes: Counter[int]


class Loader:
    """The rows of one part of a set.

    Args:
        reader: see images.py.
        groups: the set's row groups.
        selection: which rows belong to which part.
        columns: values of a picture.
        rank, ranks: of the processes that share each batch, and how many they are.
    """

    def __init__(
        self,
        reader: Reader,
        groups: Sequence[Group],
        selection: Selection,
        *,
        columns: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._reader, self._groups, self._selection, self._columns = reader, groups, selection, columns
        self._rank, self._ranks = rank, ranks
        self._few = sum(group.rows for group in groups) * columns <= KEPT_BYTES
        self._kept: dict[Group, tuple[list[Row], NDArray[np.uint8]]] = {}

    def count(self, part: str) -> Counted:
        """Return what a part has; no picture is read."""
        rows, classes = 0, Counter[int]()
        for group in self._groups:
            told = self._reader.rows(group)
            places = self._selection.places(told, part)
            rows += len(places)
            classes.update(label for place in places for label in told[place].labels)
        return Counted(rows, classes)

    def epoch(self, part: str, size: int, *, seed: int, number: int) -> Iterator[Batch]:
        """Yield an epoch's batches, of about `size` rows, in an order that `seed` and `number` decide."""
        return ahead(self._epoch(part, size, seed=seed, number=number))

    def in_order(self, part: str, size: int) -> Iterator[Batch]:
        """Yield all rows of a part once, as they lie, those of this process."""
        return ahead(self._in_order(part, size))

    def _epoch(self, part: str, size: int, *, seed: int, number: int) -> Iterator[Callable[[], Batch]]:
        total, seen, made = sum(group.rows for group in self._groups), 0.0, 0
        for window, groups in enumerate(order.windows(self._groups, seed=seed, epoch=number)):
            told, pixels = self._window(groups)
            found = order.batches(
                self._selection.places(told, part), size, seed=seed, epoch=number, window=window
            )
            share = len(told) / total
            for place, batch in enumerate(found):
                mine = np.arange(self._rank, len(batch), self._ranks)
                done = seen + share * place / len(found)
                labels = [told[each].labels for each in batch]
                yield partial(_batch, made, labels, mine, done, partial(pixels, batch[mine]))
                made += 1
            seen += share

    def _in_order(self, part: str, size: int) -> Iterator[Callable[[], Batch]]:
        for number, group in enumerate(self._groups):
            if number % self._ranks != self._rank:
                continue
            told, pixels = self._window([group])
            places = np.array(self._selection.places(told, part), dtype=np.int64)
            for begin in range(0, len(places), size):
                batch = places[begin : begin + size]
                labels = [told[each].labels for each in batch]
                yield partial(_batch, 0, labels, np.arange(len(batch)), 0.0, partial(pixels, batch))

    def _window(self, groups: Sequence[Group]) -> tuple[list[Row], _Unpack]:
        """Return the rows of some groups, and what gives the pixels of those at some places."""
        if self._few:
            kept = [self._keep(group) for group in groups]
            whole = np.concatenate([pixels for _, pixels in kept])
            return [row for rows, _ in kept for row in rows], _Kept(whole)
        found = [self._reader.pictures(group) for group in groups]
        packed = [content for one in found for content in one.packed]
        return [row for one in found for row in one.rows], _Packed(packed, self._columns)

    def _keep(self, group: Group) -> tuple[list[Row], NDArray[np.uint8]]:
        if group not in self._kept:
            found = self._reader.pictures(group)
            self._kept[group] = (list(found.rows), images.pixels(found.packed, self._columns))
        return self._kept[group]


def _batch(
    number: int,
    labels: Sequence[tuple[int, ...]],
    mine: NDArray[np.int64],
    done: float,
    unpack: Callable[[], NDArray[np.uint8]],
) -> Batch:
    return Batch(number, labels, mine, unpack(), done)


@dataclass(frozen=True)
class _Kept:
    pixels: NDArray[np.uint8]

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.pixels[places]


@dataclass(frozen=True)
class _Packed:
    packed: Sequence[bytes]
    columns: int

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        return images.pixels([self.packed[place] for place in places], self.columns)


_Unpack = _Kept | _Packed
