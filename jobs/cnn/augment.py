"""Pictures are changed a little each time they are seen: how is drawn here, for a whole batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NONE, SHIFT, TURNS, ALL = "none", "shift", "turns", "all"
CHOICES = (NONE, SHIFT, TURNS, ALL)
TURN_DEGREES, SCALE, SHIFT_SHARE = 15.0, 0.1, 0.1
"""A little: turned by at most so much, larger or smaller by so much, moved by so much of the side."""


def usual(kind: str) -> str:
    """Return what suits a kind of pictures: an eye is one however it is turned, a digit is not."""
    return ALL if kind == "eye" else SHIFT


def maps(rows: int, how: str, draws: np.random.Generator) -> NDArray[np.float32]:
    """Return for each row where its pixels come from: a matrix (2, 3) over coordinates from -1 to 1.

    Args:
        rows: of the batch.
        how: SHIFT: a little turned, scaled and moved; TURNS: one of the 8 ways to lay a square on itself;
            ALL: both.
        draws: random numbers.
    """
    linear = np.broadcast_to(np.eye(2), (rows, 2, 2))
    moved = np.zeros((rows, 2, 1))
    if how in (SHIFT, ALL):
        angle = np.radians(draws.uniform(-TURN_DEGREES, TURN_DEGREES, rows))
        scale = draws.uniform(1 - SCALE, 1 + SCALE, rows)[:, None, None]
        linear = scale * np.array(
            [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        ).transpose(2, 0, 1)
        moved = 2 * draws.uniform(-SHIFT_SHARE, SHIFT_SHARE, (rows, 2, 1))
    if how in (TURNS, ALL):
        linear = np.array(turns())[draws.integers(0, 8, rows)] @ linear
    return np.concatenate([linear, moved], axis=2).astype(np.float32)


def turns() -> Sequence[NDArray[np.float64]]:
    """Return the 8 matrices that lay a square on itself: four turns, and those mirrored."""
    quarter, mirror = np.array([[0.0, -1.0], [1.0, 0.0]]), np.diag([-1.0, 1.0])
    four = [np.linalg.matrix_power(quarter, times) for times in range(4)]
    return [*four, *(turn @ mirror for turn in four)]
