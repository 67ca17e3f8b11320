"""A folder of images and its labels CSV: what is in it, and what is wrong with it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from provision.core.errors import DatasetError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
LABELS = "labels.csv"
IMAGE_COLUMN, LABEL_COLUMN = "image", "level"


@dataclass(frozen=True)
class Source:
    """Images by name (the path below the folder) and the labels of those that have one."""

    images: Mapping[str, Path]
    labels: Mapping[str, str]

    @property
    def unlabelled(self) -> list[str]:
        """Images without a label; they become the test set."""
        return sorted(set(self.images) - set(self.labels))

    def labels_csv(self) -> str:
        """The labels as the object store keeps them."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(("image", "label"))
        writer.writerows(sorted(self.labels.items()))
        return buffer.getvalue()


def scan(folder: Path, labels: str = "") -> Source:
    """Look through a folder. `labels`: its CSV ('' = labels.csv, or the only one). Raises DatasetError."""
    if not folder.is_dir():
        raise DatasetError(
            what="this data set source does not exist",
            where=str(folder),
            remedy="Give dataset.source the path of a folder of images, or `digits`.",
        )
    images = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    }
    if not images:
        raise DatasetError(
            what="there are no images in this folder",
            where=str(folder),
            remedy=f"Images end in one of: {' '.join(sorted(SUFFIXES))}.",
        )
    file = _labels_file(folder, labels)
    return Source(images, match(_rows(file), sorted(images), str(file)))


def match(rows: Sequence[Sequence[str]], images: Sequence[str], where: str) -> dict[str, str]:
    """Return the label of each image that has one; `rows` are the CSV's. Raises DatasetError."""
    by_name = _by_name(images)
    image_column, label_column, rows = _columns(rows, by_name)
    found: dict[str, str] = {}
    strangers: list[str] = []
    for row in rows:
        if len(row) <= max(image_column, label_column):
            raise DatasetError(what=f"a row has no label: {','.join(row)!r}", where=where)
        name, label = row[image_column].strip(), row[label_column].strip()
        matches = by_name.get(name, [])
        if len(matches) > 1:
            raise DatasetError(
                what=f"{name} could be {matches[0]} or {matches[1]}",
                where=where,
                remedy="Write the name with its suffix.",
            )
        if not matches:
            strangers.append(name)
        elif label:
            if found.get(matches[0], label) != label:
                raise DatasetError(
                    what=f"{name} has two labels", where=where, remedy="Remove one of the rows."
                )
            found[matches[0]] = label
    if strangers:
        raise DatasetError(
            what=f"{len(strangers)} of {len(rows)} labels have no image (first: {strangers[0]})",
            where=where,
            remedy="Add the images or remove these rows.",
        )
    if not found:
        raise DatasetError(what="no image has a label", where=where, remedy="The columns are: image,level.")
    return found


def _labels_file(folder: Path, labels: str) -> Path:
    if labels:
        file = folder / Path(labels).expanduser()
        if not file.is_file():
            raise DatasetError(
                what="this labels file does not exist", where=str(file), remedy="See dataset.labels."
            )
        return file
    if (folder / LABELS).is_file():
        return folder / LABELS
    found = sorted(folder.glob("*.csv"))
    if len(found) == 1:
        return found[0]
    raise DatasetError(
        what=f"which file holds the labels? There are {len(found)} CSV files here",
        where=str(folder),
        remedy="Give dataset.labels its path.",
    )


def _rows(file: Path) -> list[list[str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        return [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(what=f"the labels cannot be read: {error}", where=str(file)) from error


def _by_name(images: Sequence[str]) -> dict[str, list[str]]:
    """Images by every name that a CSV may use: the path, the file's name, either without suffix."""
    result: dict[str, list[str]] = {}
    for image in images:
        path = PurePosixPath(image)
        for name in {image, path.name, path.stem, str(path.with_suffix(""))}:
            result.setdefault(name, []).append(image)
    return result


def _columns(
    rows: Sequence[Sequence[str]], by_name: Mapping[str, Sequence[str]]
) -> tuple[int, int, Sequence[Sequence[str]]]:
    """Return the columns of image and label, and the rows without the header."""
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    if IMAGE_COLUMN in head and LABEL_COLUMN in head:
        return head.index(IMAGE_COLUMN), head.index(LABEL_COLUMN), rows[1:]
    if rows and rows[0][0].strip() in by_name:
        return 0, 1, rows
    return 0, 1, rows[1:]
