"""What machines answer, which may be anything: jobs run there."""

from __future__ import annotations

import json
from typing import Any, TypeGuard

MOST = 1e18
"""Above every number of seconds, files or bytes."""


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401  (whatever JSON it is)
    """Return what a text says, None when it is no JSON, or such that Python cannot take it in."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the latter for lists in lists in lists
        return None


def is_number(value: object) -> TypeGuard[float]:
    """Say whether a value is a number that can be counted with: not negative, no NaN, not beyond MOST."""
    return isinstance(value, int | float) and 0 <= value < MOST
