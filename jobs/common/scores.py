"""Scores of a classifier: confusion matrix, accuracy, precision and recall, quadratically weighted kappa.

Pure functions over numpy arrays; the names of the classes are the labels as they stand in the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.int64]
"""Rows are true classes, columns predicted ones."""


@dataclass(frozen=True)
class ClassScore:
    """How well one class is found. Where there is nothing to divide by, a score is 0."""

    label: int
    rows: int
    precision: float
    recall: float


def confusion(counts: Iterable[tuple[int, int, int]], classes: int) -> NDArray[np.int64]:
    """Return the matrix of (true class, predicted class) from triples (true, predicted, count)."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    for true, predicted, count in counts:
        matrix[true, predicted] += count
    return matrix


def accuracy(matrix: NDArray[np.int64]) -> float:
    """Return the share of rows on the diagonal (0 for an empty matrix)."""
    return _share(float(np.trace(matrix)), float(matrix.sum()))


def class_scores(matrix: NDArray[np.int64]) -> list[ClassScore]:
    """Return precision and recall of every class."""
    found, there, right = matrix.sum(axis=0), matrix.sum(axis=1), np.diag(matrix)
    return [
        ClassScore(
            label=label,
            rows=int(there[label]),
            precision=_share(float(right[label]), float(found[label])),
            recall=_share(float(right[label]), float(there[label])),
        )
        for label in range(len(matrix))
    ]


def weighted_kappa(matrix: NDArray[np.int64]) -> float:
    """Return Cohen's kappa with quadratic weights: 1 = perfect, 0 = as good as chance.

    Where chance alone cannot disagree (one class only, or no rows), perfect agreement counts as 1, else 0.
    """
    total = float(matrix.sum())
    grades = np.arange(len(matrix), dtype=float)
    distance = (grades[:, None] - grades[None, :]) ** 2
    disagreement = float((distance * matrix).sum())
    if total == 0:
        return 0.0
    by_chance = float((distance * np.outer(matrix.sum(axis=1), matrix.sum(axis=0))).sum()) / total
    if by_chance == 0:
        return 1.0 if disagreement == 0 else 0.0
    return 1.0 - disagreement / by_chance


def f2(matrix: NDArray[np.int64]) -> float:
    """Return the mean F2 of the classes that have rows: like F1, but recall counts twice."""
    found = [score for score in class_scores(matrix) if score.rows]
    each = [_share(5 * one.precision * one.recall, 4 * one.precision + one.recall) for one in found]
    return _share(sum(each), len(each))


def summary(matrix: NDArray[np.int64]) -> dict[str, Any]:
    """Return everything above as plain JSON types."""
    return {
        "accuracy": round(accuracy(matrix), 6),
        "quadratic_weighted_kappa": round(weighted_kappa(matrix), 6),
        "f2": round(f2(matrix), 6),
        "classes": [asdict(score) for score in class_scores(matrix)],
        "confusion_matrix": matrix.tolist(),
    }


def headline(metrics: dict[str, Any]) -> str:
    """Return the result in one line."""
    side = metrics["image_size"]
    return (
        f"accuracy {metrics['accuracy']:.2%}, "
        f"quadratically weighted kappa {metrics['quadratic_weighted_kappa']:.3f} "
        f"on {metrics['holdout_rows']:,} held-out images of {side}x{side} "
        f"({metrics['train_rows']:,} to train on, {metrics['iterations']} iterations, "
        f"{metrics['seconds']:.0f} s)"
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


ONE_SIDED = 0.95
"""So large a share of one class among the predictions is told."""


def warn(warning: str) -> None:
    """Print a warning of `one_sided`, if there is one, with what a job that has `balance` can do."""
    if warning:
        print(f"WARNING: {warning}; balance=weights gives rare classes more weight", flush=True)


def one_sided(matrix: NDArray[np.int64]) -> str:
    """Return a warning when nearly all predictions are one class, '' when they are not.

    Where nearly all rows are of that class the model may be right; where they are not it has learnt nothing.
    """
    predicted = matrix.sum(axis=0)
    share = _share(float(predicted.max(initial=0)), float(predicted.sum()))
    if share <= ONE_SIDED:
        return ""
    label = int(predicted.argmax())
    there = _share(float(matrix[label].sum()), float(matrix.sum()))
    return f"{share:.1%} of the predictions are class {label}, which {there:.1%} of the rows are"
