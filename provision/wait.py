"""Waiting on a condition: the one place in the package that sleeps between two looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], *, deadline_s: float, interval_s: float = 0.1) -> T | None:
    """Call `condition` until it returns something true; return that, or None after the deadline.

    Args:
        condition: looked at at once, then every `interval_s` seconds.
        deadline_s: seconds from now after which no further look is taken.
        interval_s: seconds between two looks.
    """
    end = time.monotonic() + deadline_s
    while True:
        if result := condition():
            return result
        if time.monotonic() >= end:
            return None
        time.sleep(interval_s)
