"""In which order a sweep tries clusters: few machines are made, deleted or reshaped in between. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provision.studies.sweep import ClusterShape


def operations(now: ClusterShape | None, wanted: ClusterShape) -> int:
    """Return how many machines are made, deleted or reshaped to get from one cluster to another.

    `now` None: there is no cluster yet.
    """
    if now is None:
        return wanted.nodes
    other = now.scale != wanted.scale
    return abs(wanted.nodes - now.nodes) + (min(now.nodes, wanted.nodes) if other else 0)


def total(now: ClusterShape | None, shapes: Sequence[ClusterShape]) -> int:
    """Return the machine operations of a whole order."""
    return sum(operations(before, after) for before, after in zip([now, *shapes], shapes, strict=False))


def ordered(now: ClusterShape | None, shapes: Iterable[ClusterShape]) -> list[ClusterShape]:
    """Return the shapes in an order that needs few operations: the next one is always the nearest.

    Every shape is tried as the first one, as the way to it counts as well; the cheapest order wins.
    """
    all_of_them = list(shapes)
    orders = [_from(first, [shape for shape in all_of_them if shape != first]) for first in all_of_them]
    return min(orders, key=lambda order: total(now, order), default=[])


def _from(first: ClusterShape, left: list[ClusterShape]) -> list[ClusterShape]:
    order = [first]

    def distance(shape: ClusterShape) -> tuple[int, int]:
        """Of equal ways, the one that keeps the number of nodes leaves the others nearer."""
        return operations(order[-1], shape), abs(shape.nodes - order[-1].nodes)

    while left:
        order.append(min(left, key=distance))
        left.remove(order[-1])
    return order
