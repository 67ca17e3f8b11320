"""Content as it comes from a store: block by block, from where it broke off, as a stream, cut into parts."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 1 << 20
WHOLE = "it sends all of an object where a range is asked for"
"""Why a store is refused that takes no notice of Range: what came would be taken for what it is not."""
PAUSES_S = (0.2, 0.8, 3.2)
"""Seconds to wait before a broken download goes on, each time that nothing came since the last."""


class Broken(Exception):
    """An answer ended before it was whole."""


@dataclass(frozen=True)
class Answer:
    """What a store sends of an object: `left` bytes that `read` returns, raising Broken."""

    left: int
    etag: str
    read: Callable[[int], bytes]
    close: Callable[[], object]


def byte_range(start: int, length: int | None = None) -> str:
    """Return the header Range for `length` bytes from `start` on; None = all that follow."""
    return f"bytes={start}-{'' if length is None else start + length - 1}"


def resumed(first: Answer, ask: Callable[[int, str], Answer]) -> Iterator[bytes]:
    """Yield all of an object, or of a range of it.

    Args:
        first: what came when it was asked for.
        ask: brings the rest, given how many bytes there are and the etag that it must still have.

    Raises:
        Broken: it did so again and again, or the rest would be another object's.
    """
    answer, at, end, pauses = first, 0, first.left, iter(PAUSES_S)
    while True:
        failure = Broken(f"it ended before its {end} bytes")
        try:
            while block := answer.read(CHUNK):
                at, pauses = at + len(block), iter(PAUSES_S)
                yield block
        except Broken as error:
            failure = error
        finally:
            answer.close()
        if at >= end:
            return
        pause_s = next(pauses, None)
        if pause_s is None:
            raise failure
        time.sleep(pause_s)
        answer = ask(at, first.etag)
        if answer.etag not in ("", first.etag):  # not every store takes notice of If-Match
            answer.close()
            raise Broken("another object came where it broke off")


class Stream(io.RawIOBase):
    """Blocks as a stream. The first one is waited for, so that what is not there is said at once."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks = blocks
        self._rest = memoryview(next(blocks, b""))

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """See io.RawIOBase."""
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Leave the rest."""
        if not self.closed:
            close = getattr(self._blocks, "close", None)  # of a generator
            if close is not None:
                close()
        super().close()


class Whole:
    """A stream that raises OSError where it ends before `size` bytes."""

    def __init__(self, source: IO[bytes], size: int) -> None:
        self._source, self._size, self._total = source, size, 0

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, b'' at the end."""
        block = self._source.read(size)
        self._total += len(block)
        if not block and size and self._total < self._size:
            raise OSError(f"it ended after {self._total} of {self._size} bytes")
        return block


def parts(source: Whole, length: int) -> Iterator[bytes]:
    """Cut a stream into parts of `length` bytes, at least one. Raises OSError."""
    part, began = _part(source, length), False
    while part or not began:
        yield part
        began, part = True, _part(source, length)


def _part(source: Whole, length: int) -> bytes:
    part = bytearray()
    while len(part) < length and (block := source.read(length - len(part))):
        part += block
    return bytes(part)
