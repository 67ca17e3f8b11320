"""What is written about sets once all their parts are made."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from gallery import sheet_of
from raw import Failure
from split import class_weights
from tasks import COPIES, PROGRAM, Job, Made

from muster_node import sets
from muster_node.hdfs.webhdfs import Hdfs
from muster_node.sets import TEST, TRAIN, Manifest
from muster_node.stores.base import Store, StoreError


def manifest(part: str, size: int, results: Iterable[Made], job: Job) -> Manifest:
    """What is written about a set."""
    mine = sorted(
        (made for made in results if (made.part, made.size) == (part, size)), key=lambda made: made.number
    )
    objects = [file for made in mine for file in made.files]
    options = job.options
    copies = COPIES if options.augment and part == TRAIN else 1
    labels = sum((Counter(made.labels) for made in mine), Counter[str]())
    ordered = sorted(labels.items(), key=lambda item: int(item[0]) if part != TEST else 0)
    counts = {} if part == TEST else {label: count * copies for label, count in ordered}
    return Manifest(
        dataset=options.dataset,
        set=sets.set_name(part, size),
        rows=sum(made.rows for made in mine),
        bytes=sum(file.bytes for file in objects),
        columns=1 + size**2 * options.channels,
        first_column="id" if part == TEST else "label",
        size=size,
        channels=options.channels,
        classes=dict(sorted(job.classes.items(), key=lambda item: item[1])),
        rows_per_class=counts,
        class_weights=class_weights(counts) if options.balance == "weights" and part == TRAIN else {},
        kind=options.kind,
        images=sum(made.images for made in mine),
        noted=len({entry["image"] for made in mine for entry in made.notes}),
        skipped=[dict(entry) for made in mine for entry in made.skipped],
        objects=objects,
        source=dict(job.source),
        labels=dict(job.label_counts),
        made_by={"program": PROGRAM, **asdict(options)},
    )


def publish(store: Store, results: Sequence[Made], sizes: Iterable[int], job: Job) -> dict[str, Any]:
    """Write the manifests of all sizes, of each the training set's last; return a summary.

    Raises Failure: there is nothing to train on.
    """
    skipped = {entry["image"]: entry["reason"] for made in results for entry in made.skipped}
    if not any(made.rows for made in results if made.part == TRAIN):
        raise Failure(f"none of the images to train on can be read: {named(skipped)}")
    summary: dict[str, Any] = {"changed": True, "rows": {}, "notes": notes(skipped)}
    for size in sizes:
        for part in sets.PARTS:
            content = manifest(part, size, results, job)
            remove_former(store, content)
            if content.rows:
                key = sets.manifest_key(content.dataset, part, size)
                store.put(key, content.to_json().encode())
                summary["rows"][content.set] = content.rows
    return summary


def remove_former(store: Store, made: Manifest) -> None:
    """Remove what passes with other settings have left of a set: more parts, or rows where now are none.

    Raises StoreError: a manifest of former rows stays, which would be staged with the others.
    """
    own = {file.key for file in made.objects}
    part, _, size = made.set.rpartition("_")
    prefix = sets.set_prefix(made.dataset, part, int(size))
    there = {key for key, _ in store.names(prefix)}
    mark = f"{prefix}{sets.MANIFEST}"
    if mark in there and not made.rows:
        store.remove([mark])
    with suppress(StoreError):  # lent keys delete nothing; no manifest names these files
        store.remove(sorted(key for key in there - own if key.startswith(f"{prefix}part-")))


def tell(store: Store, hdfs: Hdfs, results: Sequence[Made], job: Job) -> str:
    """Write report and contact sheet to the store, and to HDFS for people; return where they are.

    Raises StoreError, HdfsError.
    """
    dataset, folder = job.options.dataset, sets.told_folder(job.options.dataset)
    told = {sets.report_key(dataset): report(results)}
    if not job.cropped:
        told[sets.sheet_key(dataset)] = sheet_of(results, job.classes, f"{dataset}, {job.options.kind}")
    hdfs.make_folder(folder)
    for key, content in told.items():
        store.put(key, content)
        name = key.rpartition("/")[2]
        hdfs.write(f"{folder}/{name}", io.BytesIO(content), len(content), copies=1)
    return f"pictures before and after, and what was left out: ./muster get hdfs:{folder} ."


def report(results: Iterable[Made]) -> bytes:
    """Return what there is to say of single images as a CSV file: image, part, used (yes or no), why."""
    rows = dict.fromkeys(
        (entry["image"], made.part, used, entry[what])
        for made in sorted(results, key=lambda made: (made.part, made.number, made.size))
        for used, what, entries in (("no", "reason", made.skipped), ("yes", "note", made.notes))
        for entry in entries
    )
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("image", "part", "used", "why"), *rows])
    return table.getvalue().encode()


def notes(skipped: Mapping[str, str]) -> list[str]:
    """What the user is told about images that are left out (name -> reason): one line."""
    return [f"{len(skipped)} images cannot be read and are left out: {named(skipped)}"] if skipped else []


def named(skipped: Mapping[str, str]) -> str:
    """Return the first five images that are left out, with the reasons, and how many more there are."""
    first = ", ".join(f"{image} ({reason})" for image, reason in list(skipped.items())[:5])
    return first + (f" and {len(skipped) - 5} more" if len(skipped) > 5 else "")
