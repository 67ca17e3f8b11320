"""What a model makes of held-out rows, block by block: the confusion matrix and the worst mistakes, drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import classes
import numpy as np
import picture
import samples
import scores
from numpy.typing import NDArray
from pixels import Block
from samples import Sample

from muster_node.sets import Manifest

Ask = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""Returns the probability of each class (rows, classes) for the pixels of some rows."""


@dataclass(frozen=True)
class Judged:
    """Rows by (true, predicted) class, and the worst mistakes."""

    matrix: NDArray[np.int64]
    worst: tuple[Sample, ...]

    def __add__(self, other: Judged) -> Judged:
        return Judged(self.matrix + other.matrix, tuple(samples.worst((*self.worst, *other.worst))))


def judge(blocks: Iterable[Block], ask: Ask, known: int) -> Judged:
    """Return how a model of `known` classes does on blocks."""
    found = Judged(np.zeros((known, known), np.int64), ())
    for labels, pixels in blocks:
        shares = ask(pixels)
        pairs = np.bincount(labels * known + shares.argmax(axis=1), minlength=known**2)
        found += Judged(pairs.reshape(known, known), tuple(samples.wrong(labels, pixels, shares)))
    return found


def draw(judged: Judged, about: Manifest, folder: Path) -> None:
    """Write confusion_matrix.png and worst.png of a model that was trained on a set into a folder."""
    side, matrix = f"{about.size}x{about.size}", judged.matrix
    picture.draw_confusion(
        matrix,
        title=f"{about.dataset}, {side}: {scores.accuracy(matrix):.1%} right",
        subtitle=f"{int(matrix.sum()):,} held-out images, "
        f"quadratically weighted kappa {scores.weighted_kappa(matrix):.3f}",
        path=folder / "confusion_matrix.png",
    )
    samples.draw(
        judged.worst, size=about.size, names=classes.names(about), path=folder / "worst.png",
        title=f"{about.dataset}, {side}: held-out images whose true class seemed least probable",
    )  # fmt: skip
