"""A sample of names: the same ones whenever it is drawn, every class in its share."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping


def place(name: str, seed: int) -> float:
    """Return a name's place between 0 and 1, which depends on nothing else."""
    digest = hashlib.sha256(f"{seed}\0{name}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def draw(names: Iterable[str], labels: Mapping[str, str], share: float, seed: int) -> frozenset[str]:
    """Return the share of names, at least one of each class.

    Args:
        names: all of them.
        labels: of those that have one; the others are a class of their own.
        share: more than 0, at most 1.
        seed: another one draws others.
    """
    classes: dict[str, list[str]] = defaultdict(list)
    for name in names:
        classes[labels.get(name, "")].append(name)
    drawn: set[str] = set()
    for members in classes.values():
        ordered = sorted(members, key=lambda name: (place(name, seed), name))
        drawn.update(ordered[: max(1, round(share * len(ordered)))])
    return frozenset(drawn)
