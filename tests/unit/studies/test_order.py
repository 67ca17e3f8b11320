"""Few machine operations from one cluster to the next."""

from __future__ import annotations

import itertools

import pytest

from provision.core.paths import PROJECT
from provision.core.spec import Scale
from provision.studies.order import operations, ordered, total
from provision.studies.sweep import ClusterShape, load_sweep

SMALL, LARGE = Scale(2, 2.0), Scale(2, 3.0)


@pytest.mark.parametrize(
    ("now", "wanted", "count"),
    [
        (None, ClusterShape(3, SMALL), 3),
        (ClusterShape(3, SMALL), ClusterShape(3, SMALL), 0),
        (ClusterShape(3, SMALL), ClusterShape(5, SMALL), 2),
        (ClusterShape(5, SMALL), ClusterShape(3, SMALL), 2),
        (ClusterShape(3, SMALL), ClusterShape(3, LARGE), 3),
        (ClusterShape(3, SMALL), ClusterShape(5, LARGE), 5),
        (ClusterShape(5, SMALL), ClusterShape(3, LARGE), 5),
    ],
)
def test_operations(now: ClusterShape | None, wanted: ClusterShape, count: int) -> None:
    assert operations(now, wanted) == count


def test_no_order_of_a_small_sweep_needs_fewer() -> None:
    shapes = [ClusterShape(nodes, scale) for scale in (SMALL, LARGE) for nodes in (1, 2, 4)]
    for now in (None, ClusterShape(2, LARGE), ClusterShape(6, Scale(8, 8.0))):
        best = min(total(now, order) for order in itertools.permutations(shapes))
        found = ordered(now, shapes)
        assert sorted(map(str, found)) == sorted(map(str, shapes))
        assert total(now, found) == best


def test_the_18_clusters_of_2015() -> None:
    shapes = load_sweep(PROJECT / "sweeps" / "2015.yml").shapes
    assert total(None, shapes) == 62, "in the order of the file"
    assert total(None, ordered(None, shapes)) == 54
    assert ordered(None, []) == []
