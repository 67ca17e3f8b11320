"""The held-out pictures that a model is most wrong about: found part by part, drawn as a grid."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GRID = (5, 8)
"""Rows and columns of pictures."""


@dataclass(frozen=True)
class Sample:
    """A picture with its true class, what it was taken for, and how probable either was said to be."""

    true: int
    predicted: int
    probability: float
    of_true: float
    pixels: NDArray[np.uint8]


def wrong(labels: NDArray[np.int64], pixels: NDArray[np.uint8], shares: NDArray[np.float64]) -> list[Sample]:
    """Return the worst of some rows that are taken for another class: the least probable true class first."""
    guesses, each = shares.argmax(axis=1), np.arange(len(labels))
    missed = np.flatnonzero(guesses != labels)
    order = missed[np.argsort(shares[each, labels][missed], kind="stable")][: GRID[0] * GRID[1]]
    return [
        Sample(
            int(labels[row]), int(guesses[row]), float(shares[row, guesses[row]]),
            float(shares[row, labels[row]]), pixels[row].copy(),
        )
        for row in order
    ]  # fmt: skip


def worst(samples: Iterable[Sample]) -> list[Sample]:
    """Return the worst samples, as many as the picture has room for."""
    return heapq.nsmallest(GRID[0] * GRID[1], samples, key=lambda sample: sample.of_true)


def draw(samples: Sequence[Sample], *, size: int, names: Sequence[str], title: str, path: Path) -> None:
    """Write a PNG of the samples: `true, taken for …` and the two probabilities over each.

    Args:
        samples: the worst first; there may be none.
        size: pixels a side.
        names: of classes, by number.
        title: the first line.
        path: the file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    down, across = GRID
    down = max(1, min(down, -(-len(samples) // across)))
    figure, axes = pyplot.subplots(
        down, across, figsize=(1.6 * across, 1.95 * down + 0.6), squeeze=False, layout="constrained"
    )
    for place in axes.flat:
        place.set_axis_off()
    for place, sample in zip(axes.flat, samples, strict=False):
        shown = sample.pixels.reshape(size, size, -1)
        place.imshow(shown[:, :, 0] if shown.shape[2] == 1 else shown, cmap="gray", vmin=0, vmax=255)
        true, taken = (names[number] for number in (sample.true, sample.predicted))
        place.set_title(
            f"{true} ({sample.of_true:.0%})\ntaken for {taken} ({sample.probability:.0%})", fontsize=8
        )
    figure.suptitle(title if samples else f"{title}: none", fontsize=12, fontweight="bold", x=0.01, ha="left")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
