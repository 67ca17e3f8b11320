"""Taking in tar archives of strangers: regular files and folders, and nothing that could lead elsewhere.

tarfile's own filters are not used: the oldest Python that this runs on has none, and they were led astray.
"""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

HEADERS = 1 << 20
"""Bytes between two files' contents: headers and padding, however long a name is."""
BLOCK = 1 << 20
DEEPEST = 100
"""Folders in each other: Python's own programs cannot remove much deeper ones."""
DAMAGED = (tarfile.TarError, ValueError, IndexError, OverflowError, RecursionError)
"""What tarfile raises for what is no archive."""


class BadArchive(Exception):
    """What came is not taken in; the text is one line."""


class _Counted(io.RawIOBase):
    """A stream that ends with BadArchive beyond what the next part may have: a header may claim any size."""

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__()
        self._source = source
        self.left = 0

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self.left -= len(block)
        if self.left < 0:
            raise BadArchive("an archive whose headers do not end")
        return block


def unpack(source: IO[bytes], to: Path, *, most_files: int, most_bytes: int) -> None:
    """Put the files and folders of an uncompressed tar archive into the folder `to`, which is empty.

    Owners, times and rights are not kept, but that a file may be run. The stream is read to its end.

    Args:
        source: the archive.
        to: where it goes.
        most_files: how many files and folders it may have.
        most_bytes: how many bytes all files together may have.

    Raises:
        BadArchive: it is none, has too much, or something else than files and folders below `to`; what was
            taken in before stays.
    """
    counted = _Counted(source)
    try:
        counted.left = HEADERS
        with tarfile.open(fileobj=counted, mode="r|") as archive:
            _members(archive, counted, to, most_files, most_bytes)
        counted.left = HEADERS
        while counted.read(BLOCK):
            pass
    except DAMAGED as error:
        raise BadArchive(f"no archive ({error})") from error


def _members(archive: tarfile.TarFile, counted: _Counted, to: Path, files_left: int, bytes_left: int) -> None:
    while True:
        counted.left = HEADERS
        member = archive.next()
        if member is None:
            return
        files_left, bytes_left = files_left - 1, bytes_left - member.size
        if files_left < 0:
            raise BadArchive("more files than are taken")
        if member.size < 0 or bytes_left < 0:
            raise BadArchive("more bytes than are taken")
        place = to / _inner(member)
        counted.left = member.size + HEADERS
        try:
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                _copy(archive, member, place)
        except OSError as error:
            raise BadArchive(f"{member.name}: {error.strerror or error}") from error


def _inner(member: tarfile.TarInfo) -> PurePosixPath:
    """Return where a member goes. Raises BadArchive."""
    name = PurePosixPath(member.name)
    if not name.parts or name.is_absolute() or ".." in name.parts:
        raise BadArchive(f"{member.name!r} lies outside of its folder")
    if len(name.parts) > DEEPEST:
        raise BadArchive(f"{member.name[:60]!r} and so on lies too deep")
    if member.issparse() or not (member.isdir() or member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)):
        raise BadArchive(f"{member.name!r} is neither a file nor a folder")
    return name


def _copy(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    content = archive.extractfile(member)
    mode = 0o777 if member.mode & 0o100 else 0o666  # less what the process's umask takes
    target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(target, "wb") as file:
        left = member.size
        while left and content is not None:
            block = content.read(min(left, BLOCK))
            if not block:
                raise BadArchive(f"{member.name!r} is cut off")
            file.write(block)
            left -= len(block)
