"""Files of a node's own folder, with the verbs of the HDFS client: for nodes that have no HDFS."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO

from muster_node.hdfs.webhdfs import CHUNK, HdfsError


class Folder:
    """Files below `root`; paths begin with a slash, as in HDFS. Every method raises HdfsError."""

    place = "the data disk"

    def __init__(self, root: Path) -> None:
        self._root = root

    def lengths(self, folder: str) -> dict[str, int] | None:
        """Return name -> bytes of a folder's files, None when there is no such folder."""
        place = self._at(folder)
        if not place.is_dir():
            return None
        return {path.name: path.stat().st_size for path in place.iterdir() if path.is_file()}

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder."""
        place = self._at(folder)
        return sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []

    def make_folder(self, path: str) -> None:
        """Create a folder and its parents; again is harmless."""
        self._at(path).mkdir(parents=True, exist_ok=True)

    def rename(self, old: str, new: str) -> None:
        """Rename, at once or not at all."""
        self._at(old).rename(self._at(new))

    def replace(self, old: str, new: str) -> None:
        """Rename a file, over an older one."""
        self._at(old).replace(self._at(new))

    def remove(self, path: str) -> None:
        """Delete a file or a folder with all in it; harmless when it is not there."""
        place = self._at(path)
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def read(self, path: str) -> bytes | None:
        """Return a file's content, None when there is none."""
        try:
            return self._at(path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, source: IO[bytes], length: int, *, copies: int) -> None:
        """Write a file from the `length` bytes of `source`, over an older one; there is one copy."""
        del copies
        place = self._at(path)
        source.seek(0)
        try:
            with place.open("wb") as target:
                shutil.copyfileobj(source, target, CHUNK)
        except OSError as error:
            raise HdfsError(f"{place}: {error.strerror}") from error
        if place.stat().st_size != length:
            raise HdfsError(f"{place} has not {length} bytes")

    def room(self) -> int:
        """Return the free bytes."""
        return shutil.disk_usage(self._root).free

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")
