from __future__ import annotations

import pytest

from provision.core.text import duration, parse_size, size


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (3e13, "30.0 TB")]
)
def test_sizes_are_readable(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0.4, "0 s"), (119, "119 s"), (125, "2 min"), (8 * 3600 - 1, "8 h"), (100_000, "1 d 3 h")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("said", "count"),
    [("7GB", 7 * 10**9), ("6.5GiB", 13 * 2**29), ("500 mb", 5 * 10**8), ("1KiB", 1024), ("2TB", 2 * 10**12)],
)
def test_an_amount_of_data(said: str, count: int) -> None:
    assert parse_size(said) == count


@pytest.mark.parametrize("said", ["7", "7G", "GB", "-1GB", "7XB", "1e9GB", "0.0000001kB", ""])
def test_what_is_no_amount_of_data(said: str) -> None:
    with pytest.raises(ValueError, match="no amount of data"):
        parse_size(said)
