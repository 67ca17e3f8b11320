"""A folder as an object store: keys are paths below it."""

from __future__ import annotations

import secrets
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self

from muster_node.stores.base import PART_BYTES, Settings, Store, Stored, StoreError
from muster_node.stores.reading import CHUNK, Whole

FRESH = ".new-"
"""How the names of what is still being written begin."""


class FolderStore(Store):
    """See `Store`. `settings.endpoint` is file:///path."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.root = Path(urllib.request.url2pathname(urllib.parse.urlsplit(settings.endpoint).path))

    @classmethod
    def at(cls, root: Path) -> Self:
        """Return the store in a folder."""
        return cls(Settings(root.expanduser().absolute().as_uri(), "", "", "", kind="folder"))

    def objects(self, prefix: str = "") -> Iterator[Stored]:
        """See `Store.objects`."""
        files = [
            path
            for path in self.root.rglob("*")
            if path.is_file() and not any(part.startswith(FRESH) for part in path.parts)
        ]
        for key, path in sorted((path.relative_to(self.root).as_posix(), path) for path in files):
            if key.startswith(prefix):
                yield Stored(key, path.stat().st_size, "")

    def head(self, key: str) -> Stored:
        """See `Store.head`."""
        return Stored(key, self.file(key).stat().st_size, "")

    def blocks(self, key: str) -> Iterator[bytes]:
        """See `Store.blocks`."""
        with self.file(key).open("rb") as source:
            while block := source.read(CHUNK):
                yield block

    def range_blocks(self, key: str, start: int, length: int) -> Iterator[bytes]:
        """See `Store.range_blocks`."""
        with self.file(key).open("rb") as source:
            source.seek(start)
            while block := source.read(min(CHUNK, length)):
                length -= len(block)
                yield block

    def put(self, key: str, content: bytes) -> None:
        """See `Store.put`."""
        self.write(self.place(key), (content,))

    def upload(self, key: str, source: IO[bytes], size: int, part_bytes: int = PART_BYTES) -> None:
        """See `Store.upload`."""
        del part_bytes
        whole = Whole(source, size)
        self.write(self.place(key), iter(lambda: whole.read(CHUNK), b""))

    def remove(self, keys: Iterable[str]) -> None:
        """See `Store.remove`. Folders that are empty then go, too."""
        for key in keys:
            place = self.place(key)
            place.unlink(missing_ok=True)
            with suppress(OSError):
                for parent in place.parents:
                    if parent == self.root:
                        break
                    parent.rmdir()

    def place(self, key: str) -> Path:
        """Return where an object lies. Raises StoreError for a key that leads out of the folder."""
        path = self.root / key
        if ".." in path.parts or not key or not path.resolve().is_relative_to(self.root.resolve()):
            raise StoreError(f"{key!r} is no key of an object in {self.root}")
        return path

    def file(self, key: str) -> Path:
        """Return the file of an object. Raises NotFound, StoreError."""
        place = self.place(key)
        if not place.is_file():
            raise self.absent(key)
        return place

    def write(self, place: Path, blocks: Iterable[bytes]) -> None:
        """Write a file from what comes; it appears when all came, and not when `blocks` raises."""
        fresh = place.with_name(f"{FRESH}{secrets.token_hex(4)}")
        try:
            with self.says(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                target = fresh.open("wb")
            with target:
                for block in blocks:
                    with self.says(place):
                        target.write(block)
            with self.says(place):
                fresh.replace(place)
        finally:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)

    @contextmanager
    def says(self, place: Path) -> Iterator[None]:
        """Turn what the file system refuses into a StoreError."""
        try:
            yield
        except OSError as error:
            raise StoreError(f"{place}: {error.strerror or error}") from error
