"""How far it is, in words."""

from __future__ import annotations

import pytest

from muster_node.ingest.progress import BYTES, line


@pytest.mark.parametrize(
    ("units", "total", "rate", "unit", "said"),
    [
        (3 << 20, 10 << 20, 1 << 20, BYTES, "3.0 MiB of 10.0 MiB, 1.0 MiB/s, 7 s left"),
        (1 << 30, 80 << 30, 35 << 20, BYTES, "1.0 GiB of 80.0 GiB, 35.0 MiB/s, 39 min left"),
        (5, 1_000_000, 20, "images", "5 of 1,000,000 images, 20 images/s, 13.9 h left"),
        (5 << 20, 0, 1 << 20, BYTES, "5.0 MiB, 1.0 MiB/s"),
        (0, 10, 0, "images", "0 of 10 images, 0 images/s"),
    ],
)
def test_line(units, total, rate, unit, said):
    assert line(units, total, rate, unit) == said
