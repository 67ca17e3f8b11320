"""A folder of images and its labels CSV: what is in it, and what is wrong with it."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from muster_node.ingest.members import COMPANIONS
from muster_node.labels.names import SUFFIXES
from muster_node.labels.reading import STOP, read
from muster_node.labels.report import BadLabels, Labels, LabelsError
from provision.core import files
from provision.core.errors import DatasetError

LABELS = "labels.csv"
_TABLE = ".csv"


@dataclass(frozen=True)
class Source:
    """Images by name (the path below the folder), and what was read of their labels.

    `notes`: what was settled while reading that the user should know.
    """

    images: Mapping[str, Path]
    read: Labels
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> Mapping[str, str]:
        """The label of each image that has one."""
        return self.read.labels

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


@dataclass(frozen=True)
class Folder:
    """A folder's images by name and the CSV files right in it; `aside`: files that are not people's data."""

    images: Mapping[str, Path]
    tables: tuple[Path, ...]
    aside: int


def scan(
    folder: Path,
    labels: str = "",
    *,
    multi_label: bool = False,
    on_bad: str = STOP,
    report: Path | None = None,
) -> Source:
    """Look through a folder.

    Args:
        folder: the source.
        labels: its CSV, relative to it; '' = labels.csv, or the only one.
        multi_label: whether an image may have several labels.
        on_bad: whether rows of the CSV that cannot be used `stop` or are dropped.
        report: where all rows that are not used are listed; written only when there are any.

    Raises:
        DatasetError: it holds no images and labels that can be used.
    """
    if not folder.is_dir():
        raise DatasetError(
            what="this data set source does not exist",
            where=str(folder),
            remedy="Give dataset.source the path of a folder of images, or `digits`.",
        )
    found = look(folder)
    if not found.images:
        raise DatasetError(
            what="there are no images in this folder",
            where=str(folder),
            remedy=f"Images end in one of: {' '.join(sorted(SUFFIXES))}.",
        )
    file = _labels_file(folder, labels, found.tables)
    table = _read_labels(file, found.images, multi_label=multi_label, on_bad=on_bad, report=report)
    notes = [f"{found.aside} hidden files and companions of other systems are left aside"] * bool(found.aside)
    notes += table.notes
    if table.report and report:
        notes.append(f"rows of the labels that are not used are listed in {report}")
    if without := len(found.images) - len(table.labels):
        notes.append(f"{without} of {len(found.images)} images have no label: they become the test set")
    return Source(found.images, table, tuple(notes))


def _read_labels(
    file: Path, images: Mapping[str, Path], *, multi_label: bool, on_bad: str, report: Path | None
) -> Labels:
    """Return what a file says, and write its report; see `scan`."""
    try:
        found = read(file.read_bytes(), images, multi_label=multi_label, on_bad=on_bad)
    except OSError as error:
        raise DatasetError(what=f"the labels cannot be read: {error.strerror}", where=str(file)) from error
    except BadLabels as error:
        listed = _write(error.found, report)
        raise DatasetError(what=error.what, where=str(file), remedy=f"{listed}{error.remedy}") from error
    except LabelsError as error:
        raise DatasetError(what=error.what, where=str(file), remedy=error.remedy) from error
    _write(found, report)
    return found


def _write(found: Labels, report: Path | None) -> str:
    """Write the report, if there is anything in it and a place for it; return a sentence about it."""
    if not report or not found.report:
        return ""
    files.write(report, found.report_csv())
    return f"All are listed in {report}. "


def look(folder: Path) -> Folder:
    """Return what a folder has. Raises DatasetError when a file has a name that no table can hold."""
    images: dict[str, Path] = {}
    tables: list[Path] = []
    aside = 0
    for path in sorted(folder.rglob("*")):
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES and not (suffix == _TABLE and path.parent == folder):
            continue
        inner = path.relative_to(folder)
        if not path.is_file():
            continue
        if any(part.startswith(".") or part in COMPANIONS for part in inner.parts):
            aside += 1
        elif suffix == _TABLE:
            tables.append(path)
        else:
            images[_checked(inner.as_posix(), folder)] = path
    return Folder(images, tuple(tables), aside)


def _checked(name: str, folder: Path) -> str:
    """Return an image's name, which becomes the id of a row: one line of UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        what = "is not UTF-8"
    else:
        breaks = any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in name)
        what = "has a line break or another control character in it" if breaks else ""
    if what:
        raise DatasetError(
            what=f"the name of an image {what}: {name!r}", where=str(folder), remedy="Rename the file."
        )
    return name


def _labels_file(folder: Path, labels: str, found: tuple[Path, ...]) -> Path:
    if labels:
        file = folder / Path(labels).expanduser()
        if not file.is_file():
            raise DatasetError(
                what="this labels file does not exist", where=str(file), remedy="See dataset.labels."
            )
        return file
    if (folder / LABELS).is_file():
        return folder / LABELS
    if len(found) == 1:
        return found[0]
    raise DatasetError(
        what=f"which file holds the labels? There are {len(found)} CSV files here",
        where=str(folder),
        remedy="Give dataset.labels its path.",
    )
