"""How fast is learnt: slowly at first, then at full rate, then ever more slowly to the end."""

from __future__ import annotations

import math

RISE, FIRST, LAST = 0.25, 1 / 20, 1 / 2000
"""Until which share of the training the rate rises; the shares of it that are there at first and at last."""


def rate(done: float) -> float:
    """Return the share of the learning rate when a share of the training is done (0 to 1)."""
    if done < RISE:
        return _between(FIRST, 1.0, done / RISE)
    return _between(1.0, LAST, min(1.0, (done - RISE) / (1 - RISE)))


def _between(begin: float, end: float, way: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * way)) / 2
