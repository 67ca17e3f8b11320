"""What there is: sets in the object store, and how much of them is in HDFS."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from muster_node import sets
from muster_node.hdfs.webhdfs import Hdfs
from muster_node.staging.plan import RANGES, Piece, StagedFile, pieces, staged_files
from muster_node.staging.transfer import Target
from muster_node.stores.base import NotFound, Store


@dataclass(frozen=True)
class StagedSet:
    """One set: its manifest, as it is stored and read, and where it goes in HDFS."""

    name: str
    manifest: bytes
    made: sets.Manifest
    files: tuple[StagedFile, ...]
    folder: str
    incoming: str


def stored_sets(store: Store, dataset: str, size: int) -> list[StagedSet]:
    """Return the sets of one size; empty when the training set is not there. Raises StoreError."""
    found = []
    for part in sets.PARTS:
        try:
            content = store.get(sets.manifest_key(dataset, part, size))
        except NotFound:
            continue
        name, digest = sets.set_name(part, size), hashlib.sha256(content).hexdigest()[:12]
        known = sets.Manifest.from_json(content)
        found.append(
            StagedSet(
                name=name,
                manifest=content,
                made=known,
                files=tuple(staged_files(known.objects)),
                folder=sets.staged_folder(dataset, part, size),
                incoming=f"{sets.staged_home(dataset)}/_incoming_{name}_{digest}",
            )
        )
    return found if found and found[-1].name == sets.set_name(sets.TRAIN, size) else []


def what_there_is(store: Store, dataset: str) -> dict[str, Any]:
    """Return which sizes the object store has, whether it has raw data, and of what. Raises StoreError."""
    sizes = sets.sizes_made(dataset, (key for key, _ in store.names(f"{dataset}/{sets.TRAIN}_")))
    marks = (sets.labels_key(dataset), sets.masters_key(dataset))
    raw = any(key in marks for mark in marks for key, _ in store.names(mark))
    found = {"missing": True, "changed": False, "sizes": sizes, "raw": raw}
    if raw:
        with suppress(NotFound):
            found["source"] = json.loads(store.get(sets.source_key(dataset)))
    return found


@dataclass(frozen=True)
class Standing:
    """How much of a set there is.

    `folder`: where its files belong now; `missing`: what is to be fetched; `unjoined`: files that are there
    in ranges only, or not at all; `published`: whether `folder` is the final one.
    """

    folder: str
    missing: list[Piece]
    unjoined: list[StagedFile]
    published: bool

    @property
    def complete(self) -> bool:
        """Whether the set is published and whole."""
        return self.published and not self.unjoined


def standing(target: Target, staged: StagedSet) -> Standing:
    """Look how much of a set there is. Raises HdfsError.

    Its files belong into the final folder when that was made from this very manifest, else into the one for
    what comes in.
    """
    published = target.read(f"{staged.folder}/{sets.STAGED_MANIFEST}") == staged.manifest
    folder = staged.folder if published else staged.incoming
    there = target.lengths(folder) or {}
    rest = [file for file in staged.files if there.get(file.name) != file.bytes]
    found = pieces(rest, cut=isinstance(target, Hdfs))
    if any(not piece.whole for piece in found):
        there |= target.lengths(f"{folder}/{RANGES}") or {}
    missing = [piece for piece in found if there.get(piece.name) != piece.length]
    return Standing(folder, missing, rest, published)
