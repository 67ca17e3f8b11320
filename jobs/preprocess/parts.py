"""What an executor does: fetch the images of one part file, preprocess them, write the part to the store."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, islice

from pictures import CorruptImage, PartWriter, Recipe, csv_line, preprocess

from muster_node import sets
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store

FETCH_THREADS = 4
FETCH_AHEAD = 16


@dataclass(frozen=True)
class Options:
    """What the command line says; it is also what a manifest records as `made_by`."""

    dataset: str
    size: int
    channels: int
    tolerance: int
    holdout_percent: int
    seed: int
    split_by: str


@dataclass(frozen=True)
class Image:
    """One image: name, first cell of its row (label or id), the archive that it lies in ('' = none)."""

    name: str
    first: str
    pack: str


@dataclass(frozen=True)
class Task:
    """One part file to be made: which set, its number, its images."""

    part: str
    number: int
    images: tuple[Image, ...]


@dataclass
class Made:
    """What came out of a task. `key` is empty when no image of it was whole."""

    part: str
    number: int
    key: str = ""
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    labels: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)


def contents(task: Task, dataset: str, settings: Settings) -> Iterator[tuple[Image, bytes]]:
    """Fetch a task's images in order: single ones a few ahead, archives one at a time."""
    local = threading.local()

    def fetch(key: str) -> bytes:
        if not hasattr(local, "store"):
            local.store = open_store(settings)
        content: bytes = local.store.get(key)
        return content

    with ThreadPoolExecutor(FETCH_THREADS) as pool:
        for pack, group in groupby(task.images, key=lambda image: image.pack):
            if pack:
                with tarfile.open(fileobj=io.BytesIO(fetch(pack))) as archive:
                    for image in group:
                        member = archive.extractfile(image.name)
                        yield image, member.read() if member else b""
            else:
                while batch := tuple(islice(group, FETCH_AHEAD)):
                    keys = [sets.image_key(dataset, image.name) for image in batch]
                    yield from zip(batch, pool.map(fetch, keys), strict=True)


def make_part(task: Task, options: Options) -> Made:
    """Fetch, preprocess, write one part; runs on an executor. Damaged images are noted and left out."""
    settings = Settings.load()
    recipe = Recipe(options.size, options.channels, options.tolerance)
    made, writer = Made(task.part, task.number), PartWriter()
    for image, content in contents(task, options.dataset, settings):
        try:
            writer.add(csv_line(image.first, preprocess(content, recipe)))
        except CorruptImage as error:
            made.skipped.append({"image": image.name, "reason": str(error)})
        else:
            made.labels.append(image.first)
    if writer.rows:
        body, made.sha256 = writer.finish()
        made.key = sets.part_key(options.dataset, task.part, options.size, task.number)
        made.rows, made.bytes = writer.rows, len(body)
        open_store(settings).put(made.key, body)
    return made
