"""Labels of a table, asked as a test would write it: rows of cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from muster_node.labels import Labels, read

IMAGES = ("a.png", "b.png", "c.jpg", "c.png")


def found(rows: Sequence[Sequence[str]], images: Sequence[str] = IMAGES, **options: Any) -> Labels:
    """Return what is read of rows, written as a usual CSV file. Raises LabelsError."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return read(buffer.getvalue().encode(), images, **options)


def labels(rows: Sequence[Sequence[str]], images: Sequence[str] = IMAGES, **options: Any) -> dict[str, str]:
    """Return the label of each image."""
    return dict(found(rows, images, **options).labels)


def notes(rows: Sequence[Sequence[str]], images: Sequence[str] = IMAGES) -> tuple[str, ...]:
    """Return what is said of the rows."""
    return tuple(found(rows, images).notes)
