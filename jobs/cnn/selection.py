"""Which rows are learnt from, and which tell after each epoch how well: the same wherever they are read."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from images import Row

LEARNT, ASKED = "train", "validation"


@dataclass(frozen=True)
class Selection:
    """How rows are taken. Whoever asks gets the same answer: it depends on names alone.

    `validation`: the share of subjects that are asked, not learnt; `shares`: by class, of what is left the
    share of rows that is learnt (() = all); `chosen`: numbers of the classes that take part (() = all).
    """

    seed: int = 0
    validation: float = 0.0
    shares: tuple[float, ...] = ()
    chosen: tuple[int, ...] = ()

    def part(self, row: Row) -> str:
        """Return LEARNT, ASKED, or '' for a row that takes no part."""
        if self.chosen and not set(row.labels) <= set(self.chosen):
            return ""
        if self._draw(row.subject) < self.validation:
            return ASKED
        if self.shares and self._draw(f"row {row.name}") >= max(
            (self.shares[label] for label in row.labels), default=1.0
        ):
            return ""
        return LEARNT

    def places(self, rows: Sequence[Row], part: str) -> list[int]:
        """Return the places of the rows that belong to a part."""
        return [place for place, row in enumerate(rows) if self.part(row) == part]

    def _draw(self, name: str) -> float:
        """Return a number from 0 to 1 that a name always has."""
        return zlib.crc32(f"{self.seed} {name}".encode()) / 2**32
