"""Waiting on a condition: the one place in the package that sleeps between two looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T],
    *,
    deadline_s: float,
    interval_s: float = 0.1,
    growth: float = 1.0,
    longest_s: float = 60.0,
) -> T | None:
    """Call `condition` until it returns something true; return that, or None after the deadline.

    Args:
        condition: looked at at once, then every `interval_s` seconds.
        deadline_s: seconds from now after which no further look is taken.
        interval_s: seconds between two looks.
        growth: by how much the interval grows from look to look.
        longest_s: seconds between two looks at most, when it grows.
    """
    end = time.monotonic() + deadline_s
    while True:
        if result := condition():
            return result
        left = end - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(interval_s, left) if growth > 1 else interval_s)
        interval_s = min(interval_s * growth, max(longest_s, interval_s))
