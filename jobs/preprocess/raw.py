"""What raw data of a set the object store has."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tasks import Image

from muster_node import sets
from muster_node.stores.base import NotFound, Store


class Failure(Exception):
    """Nothing can be made of the raw data; the text is one line."""


@dataclass(frozen=True)
class Raw:
    """Images by name, the label of each that has one, and what was written about source and labels."""

    images: Mapping[str, Image]
    labels: Mapping[str, str]
    source: Mapping[str, Any]
    label_counts: Mapping[str, Any]


def read_raw(store: Store, dataset: str) -> Raw:
    """Return the originals. Raises Failure when they are not there, StoreError."""
    labels = read_labels(store, dataset)
    source, counts = read_source(store, dataset), read_label_counts(store, dataset)
    return Raw(find_images(store, dataset), labels, source, counts)


def read_labels(store: Store, dataset: str) -> dict[str, str]:
    """Return the label of each labelled image file. Raises Failure when the raw data is not there."""
    try:
        text = store.get(sets.labels_key(dataset)).decode()
    except NotFound as error:
        raise Failure(
            f"the object store has no raw data of {dataset} ({sets.labels_key(dataset)})"
        ) from error
    rows = csv.reader(io.StringIO(text))
    next(rows, None)
    return {row[0]: row[1] for row in rows if row}


def find_images(store: Store, dataset: str) -> dict[str, Image]:
    """Return all images by name."""
    prefix = sets.image_key(dataset, "")
    found = [Image(key.removeprefix(prefix), bytes=size) for key, size in store.names(prefix)]
    images = {image.name: image for image in found}
    with suppress(NotFound):
        packs = json.loads(store.get(sets.packs_key(dataset)))
        images |= {name: Image(name, pack=pack) for pack, names in packs.items() for name in names}
    return images


def find_packs(store: Store, dataset: str) -> dict[str, int]:
    """Return the bytes of each pack of small images."""
    return dict(store.names(sets.pack_key(dataset, "").removesuffix(".tar")))


def read_source(store: Store, dataset: str) -> dict[str, Any]:
    """Return what was written about the source when it was sent; {} when nothing was."""
    return _known(store, sets.source_key(dataset))


def read_label_counts(store: Store, dataset: str) -> dict[str, Any]:
    """Return how many rows of the labels' table were used and reported; {} when nobody counted."""
    return _known(store, sets.label_counts_key(dataset))


def _known(store: Store, key: str) -> dict[str, Any]:
    try:
        return dict(json.loads(store.get(key)))
    except NotFound:
        return {}
