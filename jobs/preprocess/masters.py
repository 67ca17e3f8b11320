"""Intermediates: cropped, square, at most 1024 pixels a side; sets of more sizes are made of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from raw import Raw, read_source
from tasks import PROGRAM, Image, Job, Made, Options, Task

from muster_node import sets
from muster_node.sets import MASTER
from muster_node.stores.base import NotFound, Store


def recipe_of(options: Options) -> list[object]:
    """Return what of the options decides an intermediate."""
    return [PROGRAM, options.kind, options.channels, options.tolerance]


def read_masters(store: Store, options: Options) -> Raw | None:
    """Return the intermediates as if they were the originals, with images that have none, see `are_there`.

    None when there are none, or not all of those listed, or of another recipe or source. Raises StoreError.
    """
    try:
        known = json.loads(store.get(sets.masters_key(options.dataset)))
    except NotFound:
        return None
    source = read_source(store, options.dataset)
    if known.get("recipe") != recipe_of(options) or source not in ({}, known["source"]):
        return None
    images = [Image(**each | {"notes": tuple(each["notes"])}) for each in known["images"]]
    there = dict(store.names(f"{options.dataset}/masters/"))
    if any(image.pack and image.pack not in there for image in images):
        return None
    by_name = {image.name: image for image in (*images, *map(Image, known["others"]))}
    return Raw(by_name, known["labels"], known["source"], known["label_counts"])


def are_there(tasks: Iterable[Task]) -> bool:
    """Say whether each image has an intermediate, or was left out of them with a reason.

    Those that a sample or a balance had not drawn have neither.
    """
    return all(image.pack or image.reason for task in tasks for image in task.images)


def forget_masters(store: Store, dataset: str) -> None:
    """Make the list of intermediates say nothing, before their files change. Raises StoreError."""
    store.put(sets.masters_key(dataset), b"{}")


def list_masters(tasks: Iterable[Task], results: Iterable[Made], raw: Raw, job: Job) -> bytes:
    """Return the list of the intermediates that were made, as it is stored; `others` have none."""
    made = {(each.part, each.number): each for each in results if each.size == MASTER}
    images = [image for task in tasks for image in masters_of(task, made[task.part, task.number])]
    known = {
        "recipe": recipe_of(job.options),
        "description": {"kind": job.options.kind, "multi_label": job.options.multi_label}
        | ({sets.HELD: job.held} if job.held else {}),
        "source": job.source,
        "labels": raw.labels,
        "label_counts": job.label_counts,
        "images": [asdict(image) for image in images],
        "others": sorted(raw.images.keys() - {image.name for image in images}),
    }
    return json.dumps(known).encode()


def masters_of(task: Task, made: Made) -> Iterator[Image]:
    """Yield where the intermediate of each image of a part is, or why there is none."""
    reasons = {entry["image"]: entry["reason"] for entry in made.skipped}
    notes: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for entry in made.notes:
        notes[entry["image"]] += (entry["note"],)
    for image in task.images:
        if image.name in reasons:
            yield Image(image.name, reason=reasons[image.name])
        else:
            start, length = made.places[image.name]
            yield Image(
                image.name, pack=made.files[0].key, start=start, bytes=length, notes=notes[image.name]
            )
