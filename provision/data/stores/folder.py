"""A folder of this computer as an object store that takes objects in parts, too; see `s3_server`."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from muster_node.stores.base import StoreError
from muster_node.stores.folder import FRESH, FolderStore
from muster_node.stores.reading import CHUNK


class ServedFolder(FolderStore):
    """See `FolderStore`; every method raises the nodes' StoreError."""

    def write_part(self, key: str, upload: str, number: int, blocks: Iterable[bytes]) -> None:
        """Write one part of an object that appears with `join_parts`."""
        self.write(self._parts(key, upload) / f"{number:08d}", blocks)

    def join_parts(self, key: str, upload: str) -> None:
        """Make an object of its parts."""
        folder = self._parts(key, upload)
        self.write(self.place(key), _joined(sorted(folder.glob("[0-9]*"))))
        self.drop_parts(key, upload)

    def drop_parts(self, key: str, upload: str) -> None:
        """Delete the parts of an object that is not to be."""
        shutil.rmtree(self._parts(key, upload), ignore_errors=True)

    def _parts(self, key: str, upload: str) -> Path:
        """Return the folder of an upload's parts, beside the object. Raises StoreError for a strange name."""
        if not upload.isalnum():
            raise StoreError(f"{upload!r} is no upload in {self.root}")
        return self.place(key).with_name(f"{FRESH}{upload}")


def _joined(parts: Iterable[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as source:
            while block := source.read(CHUNK):
                yield block
