"""Rows of a prepared set as blocks of bytes: parsing, sampling, the sums that need no Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import classes
import lines
import numpy as np
from numpy.typing import NDArray
from prepared import PixelParameters

from muster_node.footprint import block_rows
from muster_node.sets import Manifest

Block = tuple[NDArray[np.int64], NDArray[np.uint8]]
"""Labels (rows,) and pixels (rows, columns)."""


@dataclass(frozen=True)
class Draw:
    """Which rows are taken: of each class a share, the same rows whatever machine reads them.

    `shares`: by class, 1 = all rows; () = all of every class.
    """

    shares: tuple[float, ...] = ()
    seed: int = 0

    def take(self, file: int, blocks: Iterable[Block]) -> Iterator[Block]:
        """Return the rows taken of the blocks of one file, which is known by its number."""
        if not self.shares:
            yield from blocks
            return
        generator, shares = np.random.default_rng((self.seed, file)), np.array(self.shares)
        for labels, pixels in blocks:
            taken = generator.random(len(labels)) < shares[labels]
            if taken.any():  # nothing can be normalised or standardised of a block without rows
                yield labels[taken], pixels[taken]

    def sift(self, file: int, found: Iterable[str]) -> Iterator[str]:
        """Return the lines `label,pixel,…` of one file whose rows `take` takes."""
        if not self.shares:
            yield from found
            return
        generator = np.random.default_rng((self.seed, file))
        for line in found:
            if generator.random() < self.shares[int(lines.split(line)[0])]:
                yield line


def draw_of(asked: PixelParameters, about: Manifest) -> Draw:
    """Return which rows of a training set are asked for."""
    shares = classes.shares(classes.rows(about), sample=asked.sample, balance=asked.balance)
    return Draw(shares, asked.seed)


def parse(found: Iterable[str], columns: int) -> Iterator[Block]:
    """Turn lines `label,pixel,pixel,…` into blocks. Raises BadRow for any other line."""
    most = block_rows(columns)
    labels: list[int] = []
    pixels = np.empty((most, columns), np.uint8)
    for line in found:
        label, row = lines.parse(line, columns)
        if not label.isdigit():
            raise lines.BadRow(f"label {label[:40]!r}: a row has one label, a whole number")
        pixels[len(labels)] = row
        labels.append(int(label))
        if len(labels) == most:
            yield np.array(labels), pixels
            labels, pixels = [], np.empty((most, columns), np.uint8)
    if labels:
        yield np.array(labels), pixels[: len(labels)].copy()
