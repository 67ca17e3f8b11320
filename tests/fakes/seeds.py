"""The seeds of random runs: a few in the usual tests, a thousand with `--long`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

random_seeds = pytest.mark.parametrize(
    "seeds",
    [range(25), pytest.param(range(25, 1000), marks=pytest.mark.long)],
    ids=["25", "975 more"],
)


def each(seeds: range) -> Iterator[int]:
    """Yield them, and say which one it is; that is shown when it fails."""
    for seed in seeds:
        sys.stdout.write(f"seed {seed}\n")
        yield seed
