"""From a table to the label of each image: every row is used, or reported with the reason."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from muster_node import sets
from muster_node.labels.columns import FLAGS, NAMES_OF_COLUMNS, NUMBER, Columns, find_columns
from muster_node.labels.names import Names
from muster_node.labels.report import (
    AMBIGUOUS,
    CONTRADICTION,
    DUPLICATE,
    MALFORMED,
    MISSING,
    NO_IMAGE,
    BadLabel,
    BadLabels,
    Labels,
    LabelsError,
)
from muster_node.labels.tables import SEPARATORS, Row, parse_table

STOP, DROP = "stop", "drop"
_NOTHING = frozenset({"", "nan", "na", "n/a", "#n/a", "null"})
"""What programs write for a value that is missing, in small letters."""
_FAILED = frozenset({"#div/0!", "#name?", "#null!", "#num!", "#ref!", "#value!"})
"""What spreadsheets write for a formula that failed."""
_ROUNDED = re.compile(r"\d[.,]\d+E\+\d+")
_SHOWN = 500
"""Characters of a row that a report shows."""


@dataclass(frozen=True)
class _Entry:
    """What a row says of an image: one label, or with `multi_label` several."""

    row: Row
    image: str
    labels: tuple[str, ...]


class _Bad(Exception):
    """A row cannot be used: the kind and why."""

    def __init__(self, kind: str, why: str) -> None:
        self.kind, self.why = kind, why
        super().__init__(why)


def read(
    content: bytes,
    names: Collection[str],
    *,
    column: str = "",
    multi_label: bool = False,
    on_bad: str = STOP,
) -> Labels:
    """Read the labels of images.

    Args:
        content: of a CSV file in any dialect.
        names: of all images.
        column: what the header calls the labels' column; '' = it is found.
        multi_label: whether an image may have several: a row for each, several in a cell (separated by `|`,
            else by `;`, else by blanks), or a column of 0 and 1 for each class.
        on_bad: `stop` or `drop`, what rows that cannot be used lead to.

    Raises:
        LabelsError: it is no table that can be read.
        BadLabels: rows cannot be used and `on_bad` is `stop`, or no image is left with a label.
    """
    known = Names(names)
    table = parse_table(content, known.__contains__)
    every = [row.cells for row in table.rows]
    columns = find_columns(every, known, column=column, multi_label=multi_label)
    rows = table.rows[columns.header :]
    if not rows:
        raise LabelsError("no image has a label", NAMES_OF_COLUMNS)
    reader = _Reader(columns, known, width=len(every[0]), between=_between(rows, columns, multi_label))
    entries, report = [], []
    for row in rows:
        try:
            entries.append(reader.entry(row))
        except _Bad as error:
            report.append(_bad(row, error.kind, error.why))
    _require_some(rows, report, columns, table.separator)
    one_spelling, spellings = _spellings(label for entry in entries for label in entry.labels)
    entries = [_spelt(entry, one_spelling) for entry in entries]
    several = multi_label and not columns.classes
    labels, unused = (_collect if several else _settle)(entries)
    report = sorted([*report, *unused], key=lambda bad: bad.line)
    found = Labels(labels, report, len(rows), (*table.notes, *columns.notes, *spellings, *_told(report)))
    if found.harmful and (on_bad == STOP or not labels):
        raise BadLabels(found)
    return found


class _Reader:
    """Reads one row after the other. `between`: what separates labels in a cell; '' = a cell is one label."""

    def __init__(self, columns: Columns, names: Names, *, width: int, between: str) -> None:
        self._columns, self._names, self._width, self._between = columns, names, width, between

    def entry(self, row: Row) -> _Entry:
        """Return what a row says. Raises _Bad."""
        cells, columns = row.cells, self._columns
        if len(cells) <= max(columns.image, *columns.labels):
            raise _Bad(MALFORMED, "it has too few cells")
        if any(cells[self._width :]):
            raise _Bad(
                MALFORMED,
                "it has more cells than the first row: a cell with the separator in it needs quotes",
            )
        image = self._image(cells[columns.image])
        labels = self._flagged(cells) if columns.classes else self._written(cells[columns.labels[0]])
        for label in labels:
            _require_label(label)
        return _Entry(row, image, tuple(labels))

    def _image(self, cell: str) -> str:
        found = self._names.find(cell)
        if len(found) > 1:
            raise _Bad(
                AMBIGUOUS, f"{cell} could be {found[0]} or {found[1]}: write its folder and its suffix"
            )
        if not found:
            rounded = ": a spreadsheet has rounded this number" if _ROUNDED.fullmatch(cell) else ""
            raise _Bad(NO_IMAGE, f"there is no image {cell}{rounded}" if cell else "it names no image")
        return found[0]

    def _flagged(self, cells: Sequence[str]) -> list[str]:
        found = []
        for name, index in zip(self._columns.classes, self._columns.labels, strict=True):
            flag = FLAGS.get(cells[index].casefold())
            if flag is None:
                raise _Bad(MALFORMED, f"{cells[index] or 'nothing'} in column {name} is neither 0 nor 1")
            found += [name] * flag
        if not found:
            raise _Bad(MISSING, "no class of it is 1")
        return found

    def _written(self, cell: str) -> list[str]:
        if cell.casefold() in _NOTHING:
            raise _Bad(MISSING, f"its label is {cell or 'blank'}")
        if not self._between:
            return [cell]
        if cell.startswith("[") and cell.endswith("]"):
            raise _Bad(
                MALFORMED, "its labels are a list as programs print it: write them with | between them"
            )
        parts = [
            part.strip() for part in (cell.split() if self._between == " " else cell.split(self._between))
        ]
        if self._between == " " and any(part.endswith(",") for part in parts):
            raise _Bad(MALFORMED, "commas separate its labels: write | between them")
        if not (found := [part for part in parts if part]):
            raise _Bad(MISSING, f"its label is {cell}")
        return found


def _require_label(label: str) -> None:
    if label.casefold() in _FAILED:
        raise _Bad(MALFORMED, f"a formula failed: {label}")
    if any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in label):
        raise _Bad(MALFORMED, f"its label {label!r} has a line break or another control character in it")
    if sets.LABEL_SEPARATOR in label:
        raise _Bad(
            MALFORMED, f"its label {label} has a | in it, which several labels need multi_label: true for"
        )


def _between(rows: Sequence[Row], columns: Columns, multi_label: bool) -> str:
    """Return what separates labels in all cells: `|` where there is one, else `;` or blanks; '' = nothing."""
    if not multi_label or columns.classes:
        return ""
    column = columns.labels[0]
    cells = [row.cells[column] for row in rows if column < len(row.cells)]
    return next((sign for sign in "|;" if any(sign in cell for cell in cells)), " ")


def _settle(entries: Sequence[_Entry]) -> tuple[dict[str, str], list[BadLabel]]:
    """Return the one label (or set of labels) of each image, and the rows that repeat or contradict it."""
    rows: dict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        rows[entry.image].append(entry)
    labels, unused = {}, []
    for image, said in rows.items():
        first = said[0]
        label = sets.join_labels(first.labels)
        other = next((entry for entry in said if sets.join_labels(entry.labels) != label), None)
        if other is None:
            labels[image] = label
            unused += [_bad(e.row, DUPLICATE, f"line {first.row.line} says the same") for e in said[1:]]
            continue
        why = (
            f"{image} is {label} in line {first.row.line} and {sets.join_labels(other.labels)} "
            f"in line {other.row.line}"
        )
        unused += [_bad(entry.row, CONTRADICTION, why) for entry in said]
    return labels, unused


def _collect(entries: Sequence[_Entry]) -> tuple[dict[str, str], list[BadLabel]]:
    """Return all labels that rows give an image, and the rows that add none."""
    labels: dict[str, set[str]] = defaultdict(set)
    unused = []
    for entry in entries:
        if labels[entry.image].issuperset(entry.labels):
            unused.append(_bad(entry.row, DUPLICATE, "rows above say the same"))
        labels[entry.image].update(entry.labels)
    return {image: sets.join_labels(found) for image, found in labels.items()}, unused


def _require_some(rows: Sequence[Row], report: Sequence[BadLabel], columns: Columns, separator: str) -> None:
    """Raise LabelsError when no row can be used, because the table is of another kind than was thought."""
    if len(report) < len(rows):
        return
    kinds = {bad.kind for bad in report}
    if kinds == {NO_IMAGE}:
        raise LabelsError(
            f"no row names an image of the data set (the first one: {rows[0].cells[columns.image]})",
            f"Images are looked for in column {columns.image + 1}, columns are separated by "
            f"{SEPARATORS.get(separator, separator)}; names are those of files below the folder.",
        )
    if kinds == {MALFORMED} and all(len(row.cells) == 1 for row in rows):
        raise LabelsError(
            f"no row has a label (the first one: {rows[0].cells[0]})",
            f"Columns are separated by {' or '.join(SEPARATORS.values())}.",
        )


def _spelt(entry: _Entry, one_spelling: dict[str, str]) -> _Entry:
    return replace(entry, labels=tuple(one_spelling.get(label, label) for label in entry.labels))


def _spellings(labels: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the whole number for labels that are one with a point or one of two spellings, and notes."""
    distinct = sorted(set(labels))
    numbers: dict[str, list[str]] = defaultdict(list)
    folded: dict[str, list[str]] = defaultdict(list)
    for label in distinct:
        if number := NUMBER.fullmatch(label):
            numbers[str(int(number[1]))].append(label)
        folded[label.casefold()].append(label)
    same = {number: spelt for number, spelt in numbers.items() if len(spelt) > 1}
    points = {number: spelt for number, spelt in numbers.items() if len(spelt) == 1 and "." in spelt[0]}
    notes = [f"labels {' and '.join(spelt)} are one number: {number}" for number, spelt in same.items()]
    if points:
        notes.append(f"labels {', '.join(spelt[0] for spelt in points.values())} are read as whole numbers")
    notes += [
        f"labels {' and '.join(spelt)} differ in case only, and are {len(spelt)} classes"
        for spelt in folded.values()
        if len(spelt) > 1
    ]
    return {label: number for number, spelt in (same | points).items() for label in spelt}, tuple(notes)


def _told(report: Sequence[BadLabel]) -> list[str]:
    """Return what is said about rows that are not used."""
    counts = Counter(bad.kind for bad in report)
    notes = []
    if repeated := counts.pop(DUPLICATE, 0):
        notes.append(f"{repeated} rows of the labels repeat an image with the same label")
    if counts:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        notes.append(f"{counts.total()} rows of the labels are left out: {kinds}")
    return notes


def _bad(row: Row, kind: str, why: str) -> BadLabel:
    return BadLabel(row.line, kind, ",".join(row.cells)[:_SHOWN], why)
