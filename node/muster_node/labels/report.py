"""What was read of a labels table, and what is wrong with it: every row is used or reported."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from typing import Any

DUPLICATE, CONTRADICTION, MISSING, MALFORMED = "duplicate", "contradiction", "missing label", "malformed"
NO_IMAGE, AMBIGUOUS = "no such image", "ambiguous image"
HARMLESS = frozenset({DUPLICATE})
"""Kinds that leave nothing to decide; they are reported, and stop nobody."""


class LabelsError(Exception):
    """A table cannot be read. `what` is wrong, in one line, and the `remedy`."""

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what, self.remedy = what, remedy
        super().__init__(f"{what}. {remedy}" if remedy else what)


@dataclass(frozen=True)
class BadLabel:
    """A row that is not used: its line in the file (from 1), the kind, its cells, and why."""

    line: int
    kind: str
    row: str
    why: str


@dataclass(frozen=True)
class Labels:
    """The label of each image that has one; several of an image are joined (`sets.join_labels`).

    Attributes:
        labels: by image.
        report: every row that is not used, in the order of the file.
        rows: how many rows there are, without blank ones and the header.
        notes: what the user should know about how they were read.
    """

    labels: dict[str, str]
    report: list[BadLabel]
    rows: int
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, Any]:
        """Rows in all, used, and reported by kind: `rows` is the sum of the others."""
        return {
            "rows": self.rows,
            "used": self.rows - len(self.report),
            "reported": dict(sorted(Counter(bad.kind for bad in self.report).items())),
        }

    @property
    def harmful(self) -> list[BadLabel]:
        """What is reported but for rows that say again what others say."""
        return [bad for bad in self.report if bad.kind not in HARMLESS]

    def report_csv(self) -> str:
        """Return the report as a table: line, kind, row, why."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(("line", "kind", "row", "why"))
        writer.writerows((bad.line, bad.kind, bad.row, bad.why) for bad in self.report)
        return buffer.getvalue()


class BadLabels(LabelsError):
    """Some rows cannot be used, and that was to stop; or none can. `found` has the report."""

    def __init__(self, found: Labels) -> None:
        self.found = found
        kinds = Counter(bad.kind for bad in found.harmful)
        counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        first = found.harmful[0]
        super().__init__(
            f"{len(found.harmful)} of {found.rows} rows of the labels are bad: {counted} "
            f"(first: line {first.line}, {first.why})",
            "Mend these rows, or set on_bad_labels: drop, which leaves them out."
            if found.labels
            else "Mend these rows: without them no image has a label.",
        )
