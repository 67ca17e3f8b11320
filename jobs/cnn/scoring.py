"""What a network has said of rows, added up batch by batch: one class an image, or several labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import samples
import scores
from numpy.typing import NDArray
from samples import Sample

Labels = Sequence[tuple[int, ...]]
Shares = NDArray[np.float64]


class Tally(Protocol):
    """Takes in answers, and says how good they are."""

    @property
    def rows(self) -> int:
        """How many rows were asked about."""
        ...

    @property
    def right(self) -> int:
        """How many answers are right, each as a whole."""
        ...

    def add(self, labels: Labels, shares: Shares, pixels: NDArray[np.uint8]) -> None:
        """Take in a batch: the numbers of the rows' classes, the probability of each class, the pictures."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return all scores as plain JSON types."""
        ...

    def warning(self) -> str:
        """Return a line when nearly all answers are the same, '' when they are not."""
        ...


class OneLabel:
    """A confusion matrix, and the worst mistakes."""

    def __init__(self, classes: int) -> None:
        self.matrix: scores.Matrix = np.zeros((classes, classes), np.int64)
        self.worst: list[Sample] = []

    @property
    def rows(self) -> int:
        """How many rows were asked about."""
        return int(self.matrix.sum())

    @property
    def right(self) -> int:
        """How many answers are right."""
        return int(np.trace(self.matrix))

    def add(self, labels: Labels, shares: Shares, pixels: NDArray[np.uint8]) -> None:
        """Take in a batch."""
        true = np.array([each[0] for each in labels])
        np.add.at(self.matrix, (true, shares.argmax(axis=1)), 1)
        self.worst = samples.worst([*self.worst, *samples.wrong(true, pixels, shares)])

    def summary(self) -> dict[str, Any]:
        """Return all scores."""
        return scores.summary(self.matrix)

    def warning(self) -> str:
        """Return a line when nearly all answers are one class."""
        return scores.one_sided(self.matrix)


@dataclass
class SeveralLabels:
    """How often each label was rightly or wrongly given. `threshold`: from which probability it is."""

    classes: int
    threshold: float
    rows: int = 0
    right: int = 0
    f2: float = 0.0
    given: Counter[tuple[int, ...]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.hits, self.said, self.there = np.zeros((3, self.classes), np.int64)

    def add(self, labels: Labels, shares: Shares, pixels: NDArray[np.uint8]) -> None:
        """Take in a batch."""
        del pixels
        there = np.zeros(shares.shape, bool)
        for place, numbers in enumerate(labels):
            there[place, list(numbers)] = True
        said = shares >= self.threshold
        hits = there & said
        self.hits += hits.sum(axis=0)
        self.said += said.sum(axis=0)
        self.there += there.sum(axis=0)
        self.rows += len(there)
        self.right += int((there == said).all(axis=1).sum())
        weighed = 4 * there.sum(axis=1) + said.sum(axis=1)
        self.f2 += float(np.where(weighed > 0, 5 * hits.sum(axis=1) / np.maximum(weighed, 1), 1.0).sum())
        self.given.update(tuple(np.flatnonzero(row).tolist()) for row in said)

    def summary(self) -> dict[str, Any]:
        """Return all scores: accuracy counts images with all labels right, F2 is the mean over images."""
        rows = max(self.rows, 1)
        return {
            "accuracy": round(self.right / rows, 6),
            "f2": round(self.f2 / rows, 6),
            "threshold": self.threshold,
            "classes": [
                {
                    "label": label,
                    "rows": int(self.there[label]),
                    "precision": float(self.hits[label] / max(self.said[label], 1)),
                    "recall": float(self.hits[label] / max(self.there[label], 1)),
                }
                for label in range(self.classes)
            ],
        }

    def warning(self) -> str:
        """Return a line when nearly all images are given the same labels."""
        ((labels, count),) = self.given.most_common(1) or [((), 0)]
        share = count / max(self.rows, 1)
        if share <= scores.ONE_SIDED:
            return ""
        return f"{share:.1%} of the images are given the same labels: {', '.join(map(str, labels)) or 'none'}"
