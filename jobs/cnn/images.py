"""The rows of a prepared set as Parquet has them, a row group at a time, and their pictures as pixels."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATTERN = "part-*.parquet"
TOLD = ["id", "label", "subject"]
PICTURE = "image"


class BadSet(ValueError):
    """A set that cannot be read as pictures; the text is one line."""


@dataclass(frozen=True)
class Group:
    """A row group: which file's, its number there, its rows, and the bytes of its pictures as PNG."""

    path: str
    number: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class Row:
    """What is told of a picture: its name, its subject, and the numbers of its classes."""

    name: str
    subject: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Pictures:
    """Rows with their pictures, packed as PNG."""

    rows: Sequence[Row]
    packed: Sequence[bytes]


class Reader:
    """Reads the sets of one file system. `open_file(path)` gives what can be read from any place on."""

    def __init__(self, open_file: Callable[[str], Any]) -> None:
        self._open = open_file

    def groups(self, paths: Sequence[str]) -> list[Group]:
        """Return the row groups of some files, in their order."""
        from pyarrow import parquet

        found = []
        for path in paths:
            with self._open(path) as file, parquet.ParquetFile(file) as table:
                for number in range(table.num_row_groups):
                    group = table.metadata.row_group(number)
                    sizes = {
                        group.column(place).path_in_schema: group.column(place).total_compressed_size
                        for place in range(group.num_columns)
                    }
                    found.append(Group(path, number, group.num_rows, sizes[PICTURE]))
        return found

    def rows(self, group: Group) -> list[Row]:
        """Return what is told of a group's pictures; the pictures are not read."""
        return _rows(self._read(group, TOLD))

    def pictures(self, group: Group) -> Pictures:
        """Return a group's rows with their pictures."""
        table = self._read(group, [*TOLD, PICTURE])
        return Pictures(_rows(table), table.column(PICTURE).to_pylist())

    def _read(self, group: Group, columns: list[str]) -> Any:  # noqa: ANN401  pyarrow has no types
        from pyarrow import parquet

        with self._open(group.path) as file, parquet.ParquetFile(file) as table:
            return table.read_row_group(group.number, columns=columns, use_threads=False)


def files_of(files: Any, folder: str) -> list[str]:  # noqa: ANN401  fsspec has no types
    """Return the Parquet files of a set, by name. Raises BadSet: there are none."""
    paths = sorted(str(path) for path in files.glob(f"{folder}/{PATTERN}"))
    if not paths:
        raise BadSet(
            f"{folder} has no {PATTERN}: take `parquet` into dataset.formats, and have the set prepared again"
        )
    return paths


def pixels(packed: Sequence[bytes], columns: int) -> NDArray[np.uint8]:
    """Return pictures as rows of values, pixel by pixel with the channels side by side. Raises BadSet."""
    found = np.empty((len(packed), columns), np.uint8)
    for place, content in enumerate(packed):
        values = np.asarray(Image.open(io.BytesIO(content))).reshape(-1)
        if len(values) != columns:
            raise BadSet(f"a picture has {len(values):,} values where its set has {columns:,}")
        found[place] = values
    return found


def _rows(table: Any) -> list[Row]:  # noqa: ANN401
    names, labels, subjects = (table.column(name).to_pylist() for name in TOLD)
    return [
        Row(name, subject or name, _numbers(label))
        for name, label, subject in zip(names, labels, subjects, strict=True)
    ]


def _numbers(label: Any) -> tuple[int, ...]:  # noqa: ANN401
    if label is None:
        return ()
    return tuple(label) if isinstance(label, list) else (label,)
