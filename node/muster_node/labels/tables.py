"""A CSV file as people's programs write it: its encoding and its separator are found, not asked for."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from muster_node.labels.report import LabelsError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_ENCODINGS = (  # the longer mark first: that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEGACY = "cp1252"
_OTHERS = (
    (b"PK\x03\x04", "a workbook of Excel or LibreOffice"),
    (b"\xd0\xcf\x11\xe0", "an old workbook of Excel"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF"),
    (b"<!", "a page of HTML"),
    (b"<html", "a page of HTML"),
    (b"<?xml", "XML"),
    *((mark, "JSON") for mark in (b'{"', b"[{", b'["', b"[[")),
)
"""How files begin that are saved by mistake."""
_SAVE = 'Save them as "CSV UTF-8".'
_TOLD = re.compile(r'"?sep=(.)"?\n')
"""The line with which Excel tells the separator."""
_SINGLE = re.compile("'[^'\n]*'[,;\t|]")
"""How a table begins whose quotes are single ones."""


class Row(NamedTuple):
    """Cells of a row, not all of them blank, and the line of the file that it begins in (from 1)."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """The rows that are not blank. `notes`: what the user should know about how they were read."""

    rows: list[Row]
    separator: str = ","
    notes: tuple[str, ...] = ()


def parse_table(content: bytes, known: Callable[[str], bool]) -> Table:
    """Read a table of any dialect.

    Args:
        content: of its file.
        known: says whether the table is about a cell; the separator that yields most of these wins.

    Raises:
        LabelsError: it is not text, or not a table.
    """
    text, notes = _text(content)
    told = _TOLD.match(text)
    found = [told[1]] if told else list(SEPARATORS)
    tables: list[Table] = []
    wrong = ""
    for separator in found:
        try:
            tables.append(Table(_rows(text, separator, skip=1 if told else 0), separator, notes))
        except ValueError as error:
            wrong = wrong or str(error)
    if wrong and not any(_rows_known(table.rows, known) for table in tables):
        tables = []
    if not tables:
        raise LabelsError(
            f"the labels cannot be read: {wrong}",
            'A cell that begins with a quote ends with one; quotes in it are doubled ("").',
        )
    best = max(tables, key=lambda table: (_rows_known(table.rows, known), _rows_of_many(table.rows)))
    return _without_comments(best, known)


def _rows(text: str, separator: str, skip: int) -> list[Row]:
    """Return the rows after line `skip`, cells without blanks around. Raises ValueError: quotes are wrong."""
    quote = "'" if _SINGLE.match(text) else '"'
    lines = csv.reader(io.StringIO(text), delimiter=separator, quotechar=quote, strict=True)
    found, begin = [], 1
    try:
        for cells in lines:
            stripped = [cell.strip() for cell in cells]
            if begin > skip and any(stripped):
                found.append(Row(begin, stripped))
            begin = lines.line_num + 1
    except csv.Error as error:
        raise ValueError(f"line {begin}: {error}") from error
    return found


def _without_comments(table: Table, known: Callable[[str], bool]) -> Table:
    """Leave out the lines before the table that begin with `#`, as programs put them there."""
    first = next(
        (
            index
            for index, row in enumerate(table.rows)
            if not row.cells[0].startswith("#") or any(map(known, row.cells))
        ),
        0,
    )
    if not first:
        return table
    note = f"{first} lines before the labels begin with # and are passed over"
    return Table(table.rows[first:], table.separator, (*table.notes, note))


def _text(content: bytes) -> tuple[str, tuple[str, ...]]:
    """Return a file's text with plain line ends, and what to say about its encoding."""
    encoding = next((name for mark, name in _ENCODINGS if content.startswith(mark)), "")
    notes: tuple[str, ...] = ()
    if not encoding:
        if other := _no_table(content):
            raise LabelsError(f"the labels are {other}", _SAVE)
        encoding = "utf-8" if _decodes(content, "utf-8") else _LEGACY
    if encoding == _LEGACY:
        notes = ("the labels are not UTF-8; they are read as Windows-1252 (western European)",)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        named = (
            "UTF-8 nor Windows-1252" if encoding == _LEGACY else f"{encoding.upper()}, which their mark says"
        )
        raise LabelsError(
            f"the labels are {'neither' if encoding == _LEGACY else 'not'} {named}: {error.reason} at byte "
            f"{error.start}",
            _SAVE,
        ) from error
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), notes


def _no_table(content: bytes) -> str:
    """Return what a file is that has no mark and is no table; '' for one that may be."""
    begin = content.lstrip()[:8]
    for mark, kind in _OTHERS:
        if begin.startswith(mark):
            return kind
    if b"\0" not in content:
        return ""
    zeros = content[0::2].count(0), content[1::2].count(0)
    wide = max(zeros) > len(content) // 4 and min(zeros) == 0
    return "UTF-16 without the mark that says so" if wide else "no text file"


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _rows_known(rows: Sequence[Row], known: Callable[[str], bool]) -> int:
    return sum(len(row.cells) > 1 and any(map(known, row.cells)) for row in rows)


def _rows_of_many(rows: Sequence[Row]) -> int:
    return sum(len(row.cells) > 1 for row in rows)
