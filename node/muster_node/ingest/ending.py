"""The end: what all machines took in becomes one data set, its labels are written last, and a report."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from muster_node import sets
from muster_node.ingest.journal import Piece, patiently
from muster_node.ingest.pieces import Task
from muster_node.ingest.request import BadSource, Request
from muster_node.labels.reading import read
from muster_node.labels.report import BadLabels, Labels
from muster_node.stores.base import Store, StoreError
from muster_node.stores.open import open_store

SHOWN = 5


@dataclass(frozen=True)
class Ended:
    """What came: numbers, and lines for a person."""

    metrics: dict[str, Any]
    lines: list[str]


@dataclass
class Whole:
    """All pieces together, see `Piece`; `failed`: name -> (address, reason)."""

    images: dict[str, int] = field(default_factory=dict)
    packs: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    aside: list[tuple[str, str]] = field(default_factory=list)
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    table: str = ""
    raw_bytes: int = 0

    @property
    def names(self) -> list[str]:
        """All images."""
        return [*self.images, *(name for names in self.packs.values() for name in names)]


def put_together(pieces: Iterable[Piece]) -> Whole:
    """Return all pieces, in order, as one; what came the second time has not failed.

    Raises BadSource: two have an image of one name.
    """
    whole = Whole()
    seen: dict[str, str] = {}
    for piece in pieces:
        for name in piece.names:
            if seen.setdefault(name, piece.name) != piece.name:
                raise BadSource(f"two archives have {name}; make data sets of their own of them")
            whole.failed.pop(name.rpartition(".")[0], None)
        whole.images |= piece.images
        whole.packs |= piece.packs
        whole.sizes |= piece.sizes
        whole.aside += [(name, why) for name, why in piece.aside]
        whole.failed |= {name: (url, why) for name, url, why in piece.failed}
        whole.left += piece.left
        whole.table = whole.table or piece.table
        whole.raw_bytes += piece.raw_bytes
    return whole


def finish(task: Task, table: bytes | None, results: Path) -> Ended:
    """Write what makes it a data set, the labels last. Raises BadSource, LabelsError, StoreError.

    Args:
        task: what was done.
        table: the labels' file, None = one that an archive had, if any.
        results: the folder that reports go to.
    """
    store, journal = open_store(task.settings), task.journal()
    whole = put_together(journal.every())
    write_reports(whole, results)
    if not whole.names:
        why = Counter(why for _, why in whole.failed.values()).most_common(1)
        raise BadSource(f"no image came of it{f' ({why[0][0]})' if why else ''}")
    require_there(store, task.request.dataset, whole)
    if table is None and whole.table:
        table = patiently(lambda: store.get(whole.table))
    labels = read_labels(table, whole, task.request, results)
    publish(store, task, whole, labels)
    with suppress(StoreError):  # lent keys delete nothing; what stays is small
        store.remove(journal.keys())
    return report(whole, labels, task.request.dataset)


def read_labels(table: bytes | None, whole: Whole, request: Request, results: Path) -> Labels:
    """Return the labels of the images that came. Raises BadSource, LabelsError.

    Rows about images that the sample has not drawn, or that did not come, are no mistakes.
    """
    wanted = request.labels
    if table is None and wanted.inside:
        tables = [name for name, _ in whole.aside if name.lower().endswith((".csv", ".tsv", ".txt"))]
        there = ", ".join(tables[:SHOWN]) or "none"
        raise BadSource(f"there is no labels file {wanted.inside} in it (tables that there are: {there})")
    if table is None:
        return Labels({}, [], 0)
    elsewhere = [*whole.left, *(f"{name}.jpg" for name in whole.failed)]
    elsewhere += [name for name, _ in whole.aside if request.urls]
    names = [*whole.names, *elsewhere]
    try:
        found = read(table, names, column=wanted.column, multi_label=wanted.multi_label, on_bad=wanted.on_bad)
    except BadLabels as error:
        (results / "label_report.csv").write_text(error.found.report_csv())
        raise
    if found.report:
        (results / "label_report.csv").write_text(found.report_csv())
    here = set(whole.names)
    labels = {name: label for name, label in found.labels.items() if name in here}
    return Labels(labels, found.report, found.rows, found.notes)


def require_there(store: Store, dataset: str, whole: Whole) -> None:
    """Raise BadSource when the store has lost what it was given; remove images that no piece has."""
    prefix = sets.image_key(dataset, "")
    there = dict(patiently(lambda: list(store.names(f"{dataset}/raw/"))))
    wanted = {f"{prefix}{name}": size for name, size in whole.images.items()} | whole.sizes
    lost = [key for key, size in wanted.items() if there.get(key) != size]
    if lost:
        raise BadSource(
            f"the object store has no more what it was given ({len(lost)} objects, first: {lost[0]}); "
            f"after ./muster data rm {dataset} the same command begins anew"
        )
    store.remove([key for key in there if key.startswith(prefix) and key not in wanted])


def publish(store: Store, task: Task, whole: Whole, labels: Labels) -> None:
    """Write what preprocessing looks for; with the labels the raw data is complete. Raises StoreError."""
    request = task.request
    table = _csv([("image", "label"), *sorted(labels.labels.items())])
    listing = "".join(f"{name}\n" for name in sorted(whole.names))
    files = _hash(f"{task.digest}\n{listing}")
    source = {"images": len(whole.names), "files": files, "labels": _hash(table)}
    description = {
        "kind": request.kind,
        "multi_label": request.labels.multi_label,
        "images": len(whole.names),
        "sample": request.sample,
        "digest": task.digest,
        "use": task.use,
    }
    for key, text in (
        (sets.packs_key(request.dataset), json.dumps(dict(sorted(whole.packs.items())))),
        (sets.source_key(request.dataset), json.dumps(source)),
        (sets.description_key(request.dataset), json.dumps(description)),
        (sets.label_report_key(request.dataset), labels.report_csv()),
        (sets.label_counts_key(request.dataset), json.dumps(labels.counts)),
        (sets.labels_key(request.dataset), table),
    ):
        patiently(partial(store.put, key, text.encode()))


def write_reports(whole: Whole, results: Path) -> None:
    """Write what was left aside, and what could not be fetched, as tables."""
    if whole.aside:
        (results / "aside.csv").write_text(_csv([("name", "why"), *whole.aside]))
    if whole.failed:
        rows = [(name, url, why) for name, (url, why) in sorted(whole.failed.items())]
        (results / "failed.csv").write_text(_csv([("image", "url", "why"), *rows]))


def report(whole: Whole, labels: Labels, dataset: str) -> Ended:
    """Return what is said at the end."""
    classes = {label for joined in labels.labels.values() for label in sets.split_labels(joined)}
    metrics = {
        "images": len(whole.names),
        "bytes": whole.raw_bytes,
        "labelled": len(labels.labels),
        "classes": len(classes),
        "aside": len(whole.aside),
        "failed": len(whole.failed),
        "not_drawn": len(whole.left),
    }
    lines = list(labels.notes)
    if whole.aside:
        first = ", ".join(name for name, _ in whole.aside[:SHOWN])
        counted = _counts(why for _, why in whole.aside)
        lines.append(f"{len(whole.aside):,} files are left aside: {counted}; first: {first} (aside.csv)")
    if whole.failed:
        counted = _counts(why for _, why in whole.failed.values())
        lines.append(f"{len(whole.failed):,} images did not come: {counted} (failed.csv)")
    if without := len(whole.names) - len(labels.labels):
        lines.append(f"{without:,} images have no label: they become the test set")
    lines.append(f"{dataset}: {len(whole.names):,} images in {len(classes)} classes are in the object store")
    return Ended(metrics, lines)


def _counts(reasons: Iterable[str]) -> str:
    return ", ".join(f"{count:,} {why}" for why, count in Counter(reasons).most_common(SHOWN))


def _csv(rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
