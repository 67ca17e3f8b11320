"""Data sets: what a folder of images and labels holds, its way into the object store, and what is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muster_node import sets
from muster_node.packs import PACK_BYTES, SMALL, pack
from muster_node.stores.base import Store, Stored
from provision.core.errors import DatasetError
from provision.core.spec import ClusterSpec
from provision.data.fingerprint import fingerprint
from provision.data.labels import Source, scan
from provision.data.stores.open import open_store
from provision.state.folder import State

THREADS = 8


@dataclass(frozen=True)
class Uploaded:
    """What an upload did; objects (an image, or a pack of them) sent and found there already.

    `notes`: what the user should know of the source.
    """

    images: int
    sent: int
    kept: int
    notes: tuple[str, ...]


def source_to_store(
    spec: ClusterSpec, state: State, name: str, folder: Path, labels: str, say: Callable[[str], None]
) -> Uploaded:
    """Send a folder of images with its labels to the object store. Raises DatasetError, StoreError.

    Rows of the labels that are not used are listed in the cluster's reports, and beside the labels.
    """
    source = scan(
        folder,
        labels,
        multi_label=spec.dataset.multi_label,
        on_bad=spec.dataset.on_bad_labels,
        report=state.reports / f"labels-{name}.csv",
    )
    with open_store(spec, state) as store:
        return upload(store, name, source, say)


def upload(store: Store, name: str, source: Source, say: Callable[[str], None]) -> Uploaded:
    """Send a source to the store: only what is not there yet, the labels last. Raises StoreError."""
    there = {item.key: item for item in store.objects(f"{name}/raw/")}
    packs: dict[str, list[str]] = {}
    wanted: set[str] = set()
    sent = kept = images = 0

    def send(item: tuple[str, bytes | Path, list[str]]) -> bool:
        key, content, _ = item
        if _same(there.get(key), content):
            return False
        if isinstance(content, bytes):
            store.put(key, content)
        else:
            with content.open("rb") as file:
                store.upload(key, file, content.stat().st_size)
        return True

    with ThreadPoolExecutor(THREADS) as pool:
        for batch in _batches(_items(name, source), THREADS * 4):
            for (key, _, members), was_sent in zip(batch, pool.map(send, batch), strict=True):
                wanted.add(key)
                sent, kept, images = sent + was_sent, kept + (not was_sent), images + len(members)
                if key.endswith(".tar"):
                    packs[key] = members
                say(f"uploading: {images} of {len(source.images)} images")
    store.put(sets.packs_key(name), json.dumps(dict(sorted(packs.items()))).encode())
    # An image that the folder has no more, or that lies in a pack now, would become one of the test set.
    former = (sets.image_key(name, ""), sets.pack_key(name, "").removesuffix(".tar"))
    store.remove([key for key in there if key.startswith(former) and key not in wanted])
    store.put(sets.source_key(name), json.dumps(fingerprint(source)).encode())
    store.put(sets.label_report_key(name), source.read.report_csv().encode())
    store.put(sets.label_counts_key(name), json.dumps(source.read.counts).encode())
    store.put(sets.labels_key(name), source.labels_csv().encode())
    return Uploaded(len(source.images), sent, kept, source.notes)


def list_sets(spec: ClusterSpec, state: State) -> list[dict[str, Any]]:
    """Return what is in the object store: name, rows (of raw data: images), bytes. Raises StoreError."""
    with open_store(spec, state) as store:
        return sets_in(store)


def sets_in(store: Store) -> list[dict[str, Any]]:
    """Return the raw data and the complete sets in a store, by name. Raises StoreError."""
    sizes: dict[str, int] = {}
    rows: dict[str, int] = {}
    for item in store.objects():
        parts = item.key.split("/")
        if len(parts) < 3:
            continue
        name = "/".join(parts[:2])
        sizes[name] = sizes.get(name, 0) + item.bytes
        if parts[2] == sets.MANIFEST:
            rows[name] = sets.Manifest.from_json(store.get(item.key)).rows
        elif item.key.startswith(sets.image_key(parts[0], "")):
            rows[name] = rows.get(name, 0) + 1
        elif item.key == sets.packs_key(parts[0]):
            rows[name] = rows.get(name, 0) + sum(map(len, json.loads(store.get(item.key)).values()))
    return [{"name": name, "rows": rows.get(name, 0), "bytes": sizes[name]} for name in sorted(sizes)]


def remove(spec: ClusterSpec, state: State, name: str) -> int:
    """Delete a data set (`digits`) or a part of it (`digits/train_16`); return how many objects.

    Raises DatasetError when the store has no such data, StoreError.
    """
    with open_store(spec, state) as store:
        return remove_from(store, name)


def remove_from(store: Store, name: str) -> int:
    """See `remove`."""
    keys = [item.key for item in store.objects(f"{name.strip('/')}/")]
    if not keys:
        known = sorted({entry["name"] for entry in sets_in(store)})
        raise DatasetError(
            what="there is no such data in the object store", where=name, remedy=f"There is: {known}."
        )
    # What says that a set exists goes first, so that half a set is never taken for a whole one.
    ends = (f"/{sets.MANIFEST}", sets.labels_key(""), sets.masters_key(""))
    marks = [key for key in keys if key.endswith(ends)]
    store.remove(marks)
    store.remove([key for key in keys if key not in set(marks)])
    return len(keys)


def _items(name: str, source: Source) -> Iterator[tuple[str, bytes | Path, list[str]]]:
    """What to write: (key, content, images in it). Small images are packed in the order of their names."""
    waiting: list[tuple[str, bytes]] = []
    size = 0
    for image, path in sorted(source.images.items()):
        length = path.stat().st_size
        if length > SMALL:
            yield sets.image_key(name, image), path, [image]
            continue
        if size + length > PACK_BYTES and waiting:
            yield _packed(name, waiting)
            waiting, size = [], 0
        waiting.append((image, path.read_bytes()))
        size += length
    if waiting:
        yield _packed(name, waiting)


def _packed(name: str, members: Sequence[tuple[str, bytes]]) -> tuple[str, bytes, list[str]]:
    content = pack(members)
    digest = hashlib.sha256(content).hexdigest()[:16]
    return sets.pack_key(name, digest), content, [image for image, _ in members]


def _batches(
    items: Iterator[tuple[str, bytes | Path, list[str]]], count: int
) -> Iterator[list[tuple[str, bytes | Path, list[str]]]]:
    """Cut a stream into lists, so that only a few packs are in memory at a time."""
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) >= count:
            yield batch
            batch = []
    if batch:
        yield batch


def _same(stored: Stored | None, content: bytes | Path) -> bool:
    """Say whether an object holds this content already: by size, and by MD5 where the store tells one."""
    if stored is None:
        return False
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if stored.bytes != size or len(stored.etag) != 32:
        return stored.bytes == size
    data = content if isinstance(content, bytes) else content.read_bytes()
    return hashlib.md5(data, usedforsecurity=False).hexdigest() == stored.etag
