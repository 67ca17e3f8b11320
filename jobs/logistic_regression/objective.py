"""What is minimised: the multinomial log loss over standardised pixels, and what it needs of the rows.

The same as Spark ML's with `standardization`: the penalty is on the coefficients of standardised columns
(border pixels hardly vary; without it L-BFGS does not converge), the intercepts have none.
Single precision multiplies, double precision adds up. Pure functions over blocks of rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from normal import features
from numpy.typing import NDArray
from pixels import Block

from muster_node.footprint import block_rows

Doubles = NDArray[np.float64]
Singles = NDArray[np.float32]
ROUNDING = 1e-10
"""Of the mean square: a column whose variance is less is constant, what is left of it comes of rounding."""


@dataclass(frozen=True)
class Sums:
    """Over rows: by class their number and weight, by column the weighted sums of values and of squares."""

    rows: Doubles
    weight: Doubles
    values: Doubles
    squares: Doubles

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.rows + other.rows,
            self.weight + other.weight,
            self.values + other.values,
            self.squares + other.squares,
        )

    def scale(self) -> tuple[Doubles, Doubles]:
        """Return mean and standard deviation of each column, as Spark's summarizer has them."""
        total = self.weight.sum()
        mean = self.values / total
        unbiased = total - (self.weight**2 / np.maximum(self.rows, 1.0)).sum() / total
        variance = (self.squares - total * mean**2) / max(unbiased, 1e-12)
        return mean, np.sqrt(np.where(variance > ROUNDING * self.squares / total, variance, 0.0))


@dataclass(frozen=True)
class Point:
    """Where the loss is looked at: coefficients of standardised columns (classes, columns), intercepts.

    `mean` and `inverse` (of the deviation, 0 where there is none) standardise a column, `weights` are those
    of the classes; `normalised`: channels of pictures that are normalised first, 0 = none are.
    """

    coefficients: Singles
    intercepts: Singles
    mean: Singles
    inverse: Singles
    weights: Doubles
    normalised: int = 0

    def margins(self, pixels: NDArray[np.uint8]) -> tuple[Singles, Singles]:
        """Return the standardised rows and what each class scores for them."""
        rows = features(pixels, self.normalised)
        rows -= self.mean
        rows *= self.inverse
        return rows, rows @ self.coefficients.T + self.intercepts


@dataclass(frozen=True)
class Slope:
    """The weighted loss summed over rows, and its gradient."""

    loss: float
    coefficients: Doubles
    intercepts: Doubles

    def __add__(self, other: Slope) -> Slope:
        return Slope(
            self.loss + other.loss,
            self.coefficients + other.coefficients,
            self.intercepts + other.intercepts,
        )


def sums(blocks: Iterable[Block], told: tuple[int, Doubles, int]) -> Sums:
    """Return the sums over blocks.

    `told`: columns, the weight of a row of each class, and the channels of what is normalised, see `Point`.
    """
    columns, weights, normalised = told
    found = Sums(np.zeros(len(weights)), np.zeros(len(weights)), np.zeros(columns), np.zeros(columns))
    for labels, pixels in blocks:
        weight = weights[labels]
        rows = np.bincount(labels, minlength=len(weights)).astype(float)
        found += Sums(rows, rows * weights, np.zeros(columns), np.zeros(columns))
        step = max(1, block_rows(columns) // 8)
        for start in range(0, len(labels), step):
            wide = features(pixels[start : start + step], normalised).astype(np.float64)
            found.values[...] += weight[start : start + step] @ wide
            found.squares[...] += weight[start : start + step] @ wide**2
    return found


def slope(blocks: Iterable[Block], at: Point) -> Slope:
    """Return loss and gradient over blocks."""
    found = Slope(0.0, np.zeros(at.coefficients.shape), np.zeros(len(at.intercepts)))
    for labels, pixels in blocks:
        rows, margins = at.margins(pixels)
        shares = probabilities(margins)
        picked = np.arange(len(labels)), labels
        weight = at.weights[labels]
        loss = float(-(weight * np.log(np.maximum(shares[picked], 1e-30))).sum())
        shares[picked] -= 1.0
        shares *= weight[:, None]
        single = shares.astype(np.float32)
        found = Slope(found.loss + loss, found.coefficients, found.intercepts)
        found.coefficients[...] += single.T @ rows
        found.intercepts[...] += shares.sum(axis=0)
    return found


def probabilities(margins: Singles) -> Doubles:
    """Return the softmax of each row."""
    shares = np.exp((margins - margins.max(axis=1, keepdims=True)).astype(np.float64))
    normed: Doubles = shares / shares.sum(axis=1, keepdims=True)
    return normed
