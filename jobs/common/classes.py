"""The classes of a prepared set: their numbers, names, rows and weights, and which sets can be learned."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from muster_node.sets import BALANCES, Manifest

_, WEIGHTS, SUBSAMPLE = BALANCES
MOST = 4096
"""Classes that are told apart: tables of all pairs of them are kept."""


class BadClasses(ValueError):
    """A set that no classifier can learn; the text is one line."""


def count(about: Manifest) -> int:
    """Return how many classes there are: numbers begin with 0, and some may have no rows."""
    return 1 + max(about.classes.values(), default=0)


def names(about: Manifest) -> list[str]:
    """Return the name of each number's class; a number that no class has is its own name."""
    known = {number: name for name, number in about.classes.items()}
    return [known.get(number, str(number)) for number in range(count(about))]


def rows(about: Manifest) -> list[int]:
    """Return the rows of each number's class."""
    return [about.rows_per_class.get(str(number), 0) for number in range(count(about))]


def weights(rows: Sequence[int], balance: str = WEIGHTS) -> list[float]:
    """Return what a row of each class weighs: 1, or so much that all classes count alike, on average 1."""
    if balance != WEIGHTS:
        return [1.0] * len(rows)
    there = sum(1 for some in rows if some)
    return [sum(rows) / (there * some) if some else 1.0 for some in rows]


def shares(rows: Sequence[int], *, sample: float, balance: str) -> tuple[float, ...]:
    """Return which share of each class's rows is trained on; () = all of every class."""
    least = min((some for some in rows if some), default=0)
    each = [sample * (least / some if balance == SUBSAMPLE and some else 1.0) for some in rows]
    return tuple(each) if min(each, default=1) < 1 else ()


def taken(rows: Sequence[int], shares: Sequence[float]) -> int:
    """Return about how many rows such shares of the classes are."""
    return round(sum(map(operator.mul, rows, shares))) if shares else sum(rows)


def require_two(rows: Sequence[float]) -> None:
    """Raise BadClasses when rows that were taken (how many of each class) are not of two classes."""
    if sum(1 for some in rows if some) < 2:
        raise BadClasses(
            f"of {int(sum(rows)):,} rows taken none tell two classes apart: take a larger sample"
        )


def require_learnable(about: Manifest) -> None:
    """Raise BadClasses for rows of several labels, of fewer than two classes, or of too high numbers."""
    where = f"{about.set} of {about.dataset}"
    if count(about) > MOST:
        raise BadClasses(
            f"{where} has labels up to {count(about) - 1:,}, and numbers of classes are below {MOST:,}: "
            "number them from 0, or name them"
        )
    if sum(about.rows_per_class.values()) > about.rows:
        raise BadClasses(f"{where} has images with several labels; this job learns one label an image")
    if len(about.rows_per_class) < 2:
        raise BadClasses(f"all {about.rows:,} rows of {where} are of one class: there is nothing to learn")
