"""Archives that are read from their beginning on: tar, also packed, 7z, and zip where no ranges are given."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from libarchive import ffi
from libarchive.exception import ArchiveError
from libarchive.read import stream_reader

from muster_node.ingest import members
from muster_node.ingest.parts import Joined
from muster_node.ingest.request import BadSource

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK = 1 << 20
FATAL = -30
"""What tells libarchive that reading has failed."""
TAR, FAMILY = 0x30000, 0xFF0000
"""libarchive's number of tar, and the bits of a format's number that say which family it is of."""
_place = ffi.libarchive.archive_read_header_position
_place.argtypes, _place.restype = [ffi.c_archive_p], ctypes.c_longlong
_format = ffi.libarchive.archive_format
_format.argtypes, _format.restype = [ffi.c_archive_p], ctypes.c_int


@dataclass(frozen=True)
class Entry:
    """A file of an archive, valid until the next one is asked for.

    `size`: bytes, -1 = unknown; `place`: where its header begins in an archive that can be taken up there,
    0 = it cannot; `unusual`: why it cannot be unpacked, '' = it can; `read`: gives its content, at most so
    many bytes.
    """

    name: str
    size: int
    place: int
    unusual: str
    read: Callable[[int], bytes]


class _Source(io.RawIOBase):
    """Hands a stream to libarchive, whose calls back to us lose what is raised: it is kept."""

    def __init__(self, stream: Joined, *, sought: bool) -> None:
        super().__init__()
        self._stream = stream
        self._sought = sought
        self.failure: BadSource | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._sought

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: WriteableBuffer) -> int:
        try:
            return self._stream.readinto(buffer)
        except BadSource as error:
            self.failure = error
            return FATAL


class _Reading:
    """An archive that is read: what came of it, and what is wrong."""

    def __init__(self, stream: Joined, start: int, *, sought: bool) -> None:
        self.stream = stream
        self.start = start
        self.source = _Source(stream, sought=sought)
        self.came = 0

    def count(self, size: int) -> None:
        """Count bytes that came out. Raises BadSource when there are too many for what was read."""
        self.came += size
        if self.came > members.HARMLESS + members.RATIO * (self.stream.tell() - self.start):
            raise BadSource(f"{self.stream.part}: it becomes more than {members.RATIO} times as large")

    def wrong(self, error: ArchiveError) -> BadSource:
        """Return what an error of libarchive means."""
        where = f"{self.stream.part}, byte {self.stream.tell():,} of all"
        return self.source.failure or BadSource(f"{where}: {_said(error)}")

    def content(self, found: Any, most: int) -> bytes:  # noqa: ANN401  libarchive-c is untyped
        """Return an entry's content. Raises BadSource when it is larger than `most` bytes, or damaged."""
        content = bytearray()
        try:
            for block in found.get_blocks(BLOCK):
                content += block
                if found.size is None:
                    self.count(len(block))
                if len(content) > most:
                    raise BadSource(f"{self.stream.part}: {_name(found)} is larger than {most:,} bytes")
        except ArchiveError as error:
            raise self.wrong(error) from error
        return bytes(content)


def entries(stream: Joined, start: int = 0, *, sought: bool = False) -> Iterator[Entry]:
    """Yield the files of an archive; the stream is read to its end.

    Args:
        stream: the archive.
        start: the `place` of an entry to begin with.
        sought: whether the stream may be read in another order, as 7z needs it.

    Raises:
        BadSource: it is no archive that is known, damaged, cut off, or becomes a thousand times as large.
    """
    stream.seek(start)
    reading = _Reading(stream, start, sought=sought)
    try:
        with stream_reader(reading.source, block_size=BLOCK) as archive:
            for found in archive:
                reading.count(max(found.size or 0, 0))
                if not found.isdir:
                    size = -1 if found.size is None else found.size
                    place = start + _resumable(archive)
                    read = partial(reading.content, found)
                    yield Entry(_name(found), size, place, _unusual(found), read)
        while stream.read(BLOCK):  # what follows the archive's end has its part in checksums
            pass
    except ArchiveError as error:
        raise reading.wrong(error) from error
    if reading.source.failure:
        raise reading.source.failure


def _name(found: Any) -> str:  # noqa: ANN401  libarchive-c is untyped
    name = found.pathname
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)


def _unusual(found: Any) -> str:  # noqa: ANN401
    if found.issym or found.islnk:
        return "a link"
    return "" if found.isreg else "neither a file nor a folder"


def _resumable(archive: Any) -> int:  # noqa: ANN401
    """Return where the header of the entry begins, 0 where the bytes before it are needed to read it."""
    pointer = archive._pointer  # noqa: SLF001  libarchive-c does not offer these two
    plain = not archive.filter_names and _format(pointer) & FAMILY == TAR
    return int(_place(pointer)) if plain else 0


def _said(error: ArchiveError) -> str:
    text = str(error.msg or "")
    if "Unrecognized archive format" in text:
        return "this is no archive that is read here (zip, tar, tar.gz, tar.zst, 7z)"
    if "truncated" in text.lower() or "Truncated" in text:
        return f"the archive is cut off ({text.strip()})"
    return f"the archive is damaged here, or the parts are not in their order ({text.strip()})"
