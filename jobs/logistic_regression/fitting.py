"""Fitting: L-BFGS in the driver, the gradient where the rows are."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from classes import require_two
from objective import Doubles, Point, slope, sums
from rows import Rows

TOLERANCE = 1e-6
"""Of the loss, relative: so little better in a step is the end."""


@dataclass(frozen=True)
class Settings:
    """How it is fitted: `l1` is the share of the L1 penalty, `steps` how many L-BFGS remembers."""

    regularisation: float
    l1: float
    iterations: int
    steps: int


@dataclass(frozen=True)
class Fit:
    """A model over pixels 0 … 255: coefficients (classes, columns) and intercepts; rows of each class.

    With `normalised`, the channels of a picture, it is one over normalised pixels.
    """

    coefficients: Doubles
    intercepts: Doubles
    rows: Doubles
    iterations: int
    losses: tuple[float, ...]
    normalised: int = 0

    def point(self) -> Point:
        """Return the model as what scores raw rows."""
        classes, columns = self.coefficients.shape
        return Point(
            self.coefficients.astype(np.float32),
            self.intercepts.astype(np.float32),
            np.zeros(columns, np.float32),
            np.ones(columns, np.float32),
            np.ones(classes),
            self.normalised,
        )


def fit(
    rows: Rows,
    *,
    columns: int,
    weights: Doubles,
    settings: Settings,
    normalised: int = 0,
    say: Callable[[int, float], object] = lambda *_: None,
) -> Fit:
    """Fit the model.

    Args:
        rows: to train on.
        columns: pixels of a row.
        weights: of a row of each class.
        settings: the penalty, and how long.
        normalised: channels of pictures that are normalised first, 0 = pixels are taken as they are.
        say: gets number and loss of each iteration.

    Raises:
        BadClasses: there is nothing to tell apart.
    """
    from scipy.optimize import fmin_l_bfgs_b

    classes = len(weights)
    known = rows.fold(sums, operator.add, (columns, weights, normalised))
    require_two(known.rows.tolist())
    total = known.weight.sum()
    mean, deviation = known.scale()
    inverse = np.divide(1.0, deviation, out=np.zeros(columns), where=deviation > 0)
    split = settings.l1 > 0 and settings.regularisation > 0
    shape, cells = (classes, columns), classes * columns
    ridge = settings.regularisation * (1 - settings.l1)
    lasso = settings.regularisation * settings.l1
    losses: list[float] = []

    def coefficients(vector: Doubles) -> Doubles:
        flat = vector[:cells] - vector[cells : 2 * cells] if split else vector[:cells]
        return flat.reshape(shape)

    def loss(vector: Doubles) -> tuple[float, Doubles]:
        matrix, intercepts = coefficients(vector), vector[-classes:]
        found = rows.fold(
            slope,
            operator.add,
            Point(
                matrix.astype(np.float32),
                intercepts.astype(np.float32),
                mean.astype(np.float32),
                inverse.astype(np.float32),
                weights,
                normalised,
            ),
        )
        gradient = found.coefficients.ravel()
        gradient /= total
        gradient += ridge * matrix.ravel()
        value = found.loss / total + ridge / 2 * float(np.vdot(matrix, matrix))
        parts = [gradient]
        if split:
            value += lasso * float(vector[: 2 * cells].sum())
            parts = [gradient + lasso, lasso - gradient]
        losses.append(value)
        return value, np.concatenate([*parts, found.intercepts / total])

    start = np.zeros((2 if split else 1) * cells + classes)
    start[-classes:] = np.log(known.weight + 1.0) - np.log(known.weight + 1.0).mean()
    done = 0

    def stepped(_: Doubles) -> None:
        nonlocal done
        done += 1
        say(done, losses[-1])

    best, _, about = fmin_l_bfgs_b(
        loss,
        start,
        m=settings.steps,
        maxiter=settings.iterations,
        factr=TOLERANCE / np.finfo(float).eps,
        pgtol=TOLERANCE,
        bounds=[(0, None)] * (2 * cells) + [(None, None)] * classes if split else None,
        callback=stepped,
    )
    scaled = coefficients(best) * inverse
    intercepts = best[-classes:] - scaled @ mean
    return Fit(
        scaled, intercepts - intercepts.mean(), known.rows, int(about["nit"]), tuple(losses), normalised
    )
