"""The proofs that staged files are what their manifests say, and were made as the config file says."""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

from muster_node import sets
from muster_node.hdfs.folder import Folder
from muster_node.hdfs.webhdfs import Hdfs
from muster_node.preparation import OtherSettings, require_same
from muster_node.proofs.plan import Share
from muster_node.sets import SetFile
from muster_node.staging.plan import StagedFile, staged_files


def data(share: Share, namenode_url: str) -> tuple[bool, object]:
    """Compare this node's share of the staged files with their manifests."""
    place = Folder(Path(share.folder)) if share.folder else Hdfs(namenode_url)
    end, wrong, read, total, files = time.monotonic() + share.seconds, [], 0, 0, 0
    rows: dict[str, int] = {}
    for name in staged_sets(place, share):
        folder = f"{sets.staged_home(share.name)}/{name}"
        note = place.read(f"{folder}/{sets.STAGED_MANIFEST}")
        if note is None:
            raise RuntimeError(f"{folder} has no manifest")
        lengths = place.lengths(folder) or {}
        known = sets.Manifest.from_json(note)
        rows[name] = known.rows
        for file in staged_files(known.objects)[share.index :: share.count]:
            files, total = files + 1, total + file.rows
            if lengths.get(file.name) != file.bytes:
                wrong.append(f"{name}/{file.name} is missing or has another size")
            elif time.monotonic() < end:
                read += 1
                content = place.read(f"{folder}/{file.name}") or b""
                wrong += [f"{name}/{file.name}: {what}" for what in compare_all(content, file)]
    found = {"files": files, "read": read, "rows": total, "all_rows": rows, "wrong": wrong[:5]}
    return not wrong, found


def settings(share: Share, namenode_url: str) -> tuple[bool, str]:
    """Compare the settings of now with those that the staged set was made with, as far as it tells them."""
    place, size = Hdfs(namenode_url), share.settings_size
    folders = [sets.staged_folder(share.name, part, size) for part in sets.PARTS]
    notes = [place.read(f"{folder}/{sets.STAGED_MANIFEST}") for folder in folders]
    made = [sets.Manifest.from_json(note) for note in notes if note is not None]
    if not made:
        return True, f"nothing is staged at {size} pixels"
    try:
        require_same(share.settings, made)
    except OtherSettings as error:
        return False, str(error)
    return True, "as in the config file"


def staged_sets(place: Hdfs | Folder, share: Share) -> list[str]:
    """Return the names of the staged sets: of the wished size, of all sizes when it is 0."""
    staged = []
    for name in place.folders(sets.staged_home(share.name)):
        parsed = sets.parse_set_name(name)
        if parsed and share.size in (0, parsed[1]):
            staged.append(name)
    if not any(name.startswith(f"{sets.TRAIN}_") for name in staged):
        size = f" of size {share.size}" if share.size else ""
        raise RuntimeError(f"{share.folder or 'HDFS'} holds no training set {share.name}{size}")
    return staged


def compare_all(content: bytes, file: StagedFile) -> Iterator[str]:
    """Yield what differs from the manifest in the objects that a file was made of, in words."""
    start = 0
    for item in file.members:
        yield from compare(content[start : start + item.bytes], item)
        start += item.bytes


def compare(content: bytes, item: SetFile) -> Iterator[str]:
    """Yield what differs from the manifest, in words."""
    if hashlib.sha256(content).hexdigest() != item.sha256:
        yield "checksum differs"
        return
    if item.key.endswith(".parquet"):  # how many rows it has is what its reader counts
        return
    text = gzip.decompress(content) if item.key.endswith(".gz") else content
    rows = text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
    if rows != item.rows:
        yield f"{rows} rows instead of {item.rows}"
