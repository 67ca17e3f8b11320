"""Which column of a labels table is which: by their names, else by what is in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from muster_node.labels.names import SUFFIXES, Names
from muster_node.labels.report import LabelsError

IMAGE_COLUMN, LABEL_COLUMN = "image", "level"
IMAGE_WORDS = frozenset((
    IMAGE_COLUMN, "img", "picture", "photo", "file", "filename", "file_name", "filepath", "file_path",
    "path", "name", "id", "id_code", "image_id", "image_name", "image_path",
))  # fmt: skip
LABEL_WORDS = frozenset((
    LABEL_COLUMN, "label", "labels", "class", "category", "diagnosis", "grade", "target",
))  # fmt: skip
"""What programs call these columns."""
FLAGS = {
    "0": False,
    "0.0": False,
    "false": False,
    "no": False,
    "1": True,
    "1.0": True,
    "true": True,
    "yes": True,
}
"""What stands in the columns of a table that has one for each class, in small letters."""
NAMES_OF_COLUMNS = f"Begin with a row that calls the columns {IMAGE_COLUMN} and {LABEL_COLUMN}"
NUMBER = re.compile(r"\+?(\d{1,9})(\.0*)?")


@dataclass(frozen=True)
class Columns:
    """Where images and labels stand, as indexes; `header`: whether the first row only names them.

    `classes`: names of the labels' columns when there is one of 0 and 1 for each class; else there is one.
    """

    image: int
    labels: tuple[int, ...]
    header: bool
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_columns(
    rows: Sequence[Sequence[str]], names: Names, *, column: str = "", multi_label: bool = False
) -> Columns:
    """Return where images and labels stand in rows. Raises LabelsError when it cannot be told.

    The header's words decide where it has both; else the column with the most names of images is theirs.

    Args:
        rows: the first may be a header.
        names: of all images.
        column: what the header calls the labels' column; '' = it is found.
        multi_label: whether there may be a column for each class.
    """
    if not rows:
        raise LabelsError("the labels are blank", NAMES_OF_COLUMNS)
    head = [_word(cell) for cell in rows[0]]
    cells = [[row[index] for row in rows if index < len(row)] for index in range(max(map(len, rows)))]
    called = [index for index, word in enumerate(head) if word in IMAGE_WORDS]
    labels = [index for index, word in enumerate(head) if word in LABEL_WORDS]
    if column:
        labels = [_named(column, rows[0])]
        called = [index for index in called if index not in labels]
    words = bool(column or (called and labels))
    image = _image_column(cells, names, called if words else [], labels if words else [])
    if multi_label and not words and (flags := _class_columns(rows, cells, image, names)):
        return flags
    label = labels[0] if column else _label_column(head, cells, image, labels if words else [])
    if label is None:
        raise LabelsError(
            f"which column holds the labels? The first row is {', '.join(rows[0])}",
            NAMES_OF_COLUMNS
            + ("." if multi_label else "; one column of 0 and 1 for each class needs multi_label: true."),
        )
    if words or (image < len(head) and head[image] in IMAGE_WORDS and rows[0][image] not in names):
        return Columns(image, (label,), header=True)
    if _is_header(rows, image, label, names):
        note = f"the first row of the labels ({', '.join(rows[0])}) is taken for a header"
        return Columns(image, (label,), header=True, notes=(note,))
    return Columns(image, (label,), header=False)


def _word(cell: str) -> str:
    return re.sub(r"[ -]", "_", cell.lower())


def _named(column: str, first: Sequence[str]) -> int:
    found = [index for index, cell in enumerate(first) if _word(cell) == _word(column)]
    if len(found) == 1:
        return found[0]
    raise LabelsError(f"{len(found)} columns are called {column}. The first row is {', '.join(first)}")


def _image_column(
    cells: Sequence[Sequence[str]], names: Names, called: Sequence[int], labels: Sequence[int]
) -> int:
    """Return the column that names most images: of those that are called so, unless only others name any."""
    known = [_names_in(column, names) for column in cells]
    others = [index for index in range(len(cells)) if index not in (*called, *labels)]
    if not any(known[index][0] for index in called) and (
        not called or any(known[index][0] for index in others)
    ):
        called = others or [0]
    return max(called, key=lambda index: known[index])


def _class_columns(
    rows: Sequence[Sequence[str]], cells: Sequence[Sequence[str]], image: int, names: Names
) -> Columns | None:
    """Return the columns of classes, two or more of mostly 0 and 1, which a header names; None: no such."""
    first = rows[0]
    if image >= len(first) or first[image] in names:
        return None
    found: list[int] = []
    others: list[int] = []
    for index, name in enumerate(first):
        body = [cell for cell in cells[index][1:] if cell]
        flags = sum(cell.casefold() in FLAGS for cell in body)
        if index == image or not body or (index < image and _counts(cells[index])):
            continue
        (found if name and 2 * flags > len(body) else others).append(index)
    if len(found) < 2:
        return None
    classes = tuple(first[index] for index in found)
    if twice := sorted({name for name in classes if classes.count(name) > 1}):
        raise LabelsError(f"several columns are called {twice[0]}", "Give each class one column.")
    passed = ", ".join(first[index] or f"column {index + 1}" for index in others)
    notes = (f"columns without 0 and 1 are passed over: {passed}",) if others else ()
    return Columns(image, tuple(found), header=True, classes=classes, notes=notes)


def _label_column(
    head: Sequence[str], cells: Sequence[Sequence[str]], image: int, called: Sequence[int]
) -> int | None:
    """Return the labels' column: the one that is called so, else the only other one; None: there are several.

    Blank columns do not count, nor does one before the images that numbers the rows.
    """
    if LABEL_COLUMN in head and called:
        return head.index(LABEL_COLUMN)
    filled = [index for index, column in enumerate(cells) if any(column[1:] or column)]
    found = list(called) or [index for index in filled if index != image]
    if len(found) > 1:
        found = [index for index in found if index > image or not _counts(cells[index])]
    if not found:  # every row will be told to have none
        return max(image + 1, 1)
    return found[0] if len(found) == 1 else None


def _is_header(rows: Sequence[Sequence[str]], image: int, label: int, names: Names) -> bool:
    """Say whether the first row only names columns: unlike a row of data it has no image and no label."""
    first = rows[0]
    if len(first) <= max(image, label) or first[image] in names:
        return False
    if re.search(r"\d|[/\\]", first[image]) or _is_file(first[image]):
        return False
    others = {row[label] for row in rows[1:] if label < len(row)}
    return not NUMBER.fullmatch(first[label]) and first[label] not in others


def _names_in(cells: Sequence[str], names: Names) -> tuple[int, int]:
    """Return how many different images a column names, and in how many cells it looks like one that does."""
    different = {cell for cell in cells if cell in names}
    return len(different), sum(map(_is_file, cells))


def _is_file(cell: str) -> bool:
    return cell.lower().endswith(tuple(SUFFIXES))


def _counts(cells: Sequence[str]) -> bool:
    """Say whether a column only counts the rows, below its name if it has one."""
    return any(
        list(body) == [str(number) for number in range(first, first + len(body))]
        for body in (cells, cells[1:])
        for first in (0, 1)
    )
