"""Which cluster holds a job's data: by the sizing that the cluster itself has."""

from __future__ import annotations

from typing import Any

import pytest

from muster_node.footprint import Footprint
from provision.core.model import MachineType, Price
from provision.core.spec import Shape
from provision.planning import rent
from provision.planning.rent import Work, assess, ranked, rows_in, smallest
from provision.planning.sizing import cluster_sizing

WORK = Work("logistic_regression", rows=100_000, columns=4096, classes=5)


def kind(shape: str, hourly: float | None = None, *, nodes: int = 0) -> MachineType:
    return MachineType(shape, "ec2", Shape.parse(shape), Price(hourly, "list") if hourly else None, nodes)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A job with 40,000 MiB of rows that takes 1000 of each executor, and what its footprint was asked."""
    calls: list[dict[str, Any]] = []

    def need(rows: int, columns: int, classes: int, **layout: int) -> Footprint:
        calls.append({"rows": rows, "columns": columns, "classes": classes, **layout})
        missing = max(0, 1000 - layout["executor_memory_mb"])
        share = min(1.0, layout["nodes"] * layout["executor_memory_mb"] / 40_000)
        why = f"{missing} MiB too few" if missing else ""
        return Footprint(8, 1000, 100, 40_000, share, 10, not missing, missing, why)

    monkeypatch.setitem(rent.FOOTPRINTS, WORK.job, need)
    return calls


def test_the_clusters_own_sizing_is_what_the_job_is_held_against(asked: list[dict[str, Any]]) -> None:
    found = assess(WORK, kind("8x16"), 3)
    nodes = [
        {"name": str(n), "group": "worker" if n else "master", "cores": 8, "memory_gb": 16.0}
        for n in range(3)
    ]
    assert found.sizing == cluster_sizing(nodes)
    assert asked == [
        {
            "rows": 100_000, "columns": 4096, "classes": 5,
            "nodes": found.sizing.executors, "cores": found.sizing.executor_cores,
            "executor_memory_mb": found.sizing.executor_memory_mb,
            "driver_memory_mb": found.sizing.driver_memory_mb,
        }
    ]  # fmt: skip


def test_the_fewest_machines_that_hold_all_rows(asked: list[dict[str, Any]]) -> None:
    found = smallest(WORK, kind("8x16"))
    assert found.in_memory == 1.0 and not found.why_not
    assert 0 < assess(WORK, kind("8x16"), found.nodes - 1).in_memory < 1
    assert smallest(WORK, kind("8x16"), nodes=2).nodes == 2
    assert smallest(WORK, kind("8x16", nodes=1)).nodes == 1


def test_machines_too_small_for_anything_say_so_in_the_sizings_words() -> None:
    found = smallest(WORK, kind("2x1"))
    assert "too few for its daemons" in found.why_not
    assert found.need is None and found.sizing is None


def test_what_fits_comes_first_then_what_has_a_price_then_the_cheapest(asked: list[dict[str, Any]]) -> None:
    cheap, dear, unknown, disk = (
        kind("8x32", 0.1),
        kind("16x64", 5.0),
        kind("8x64"),
        kind("2x8", 0.01, nodes=1),
    )
    found = ranked(smallest(WORK, one) for one in (unknown, kind("2x1", 0.01), disk, dear, cheap))
    assert [one.kind.name for one in found] == ["8x32", "16x64", "8x64", "2x8", "2x1"]
    assert found[0].hourly == pytest.approx(0.1 * found[0].nodes)
    assert found[2].hourly is None


def test_rows_of_a_set() -> None:
    assert rows_in(7_000_000_000, 64 * 64 * 3) == 227_865
    assert rows_in(1, 4096) == 1
