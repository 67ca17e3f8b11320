"""An archive in parts as one stream: from any byte on, over lost connections, and with its checksums."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from muster_node.ingest import web
from muster_node.ingest.checksum import Checksum
from muster_node.ingest.request import STORE, BadSource, Part, WrongDigest
from muster_node.stores.base import NotFound, Store, StoreError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PAUSES_S = (1, 2, 4, 8, 16, 32, 64)
"""After each failure in a row; any byte that comes begins anew."""
STORE_BLOCK = 4 << 20
SKIPPED = 1 << 20
"""What lies so few bytes ahead is read over: that is quicker than another request."""


@dataclass(frozen=True)
class Found:
    """A part as its server tells of it.

    `size`: bytes, -1 = unknown; `ranges`: it is read from anywhere; `version`: what changes with its content,
    '' = unknown.
    """

    part: Part
    size: int
    ranges: bool
    version: str = ""


class Reach:
    """The way to parts: the web and the cluster's own store. Used by one thread."""

    def __init__(self, session: requests.Session, store: Store) -> None:
        self.session = session
        self.store = store

    def look(self, part: Part) -> Found:
        """Ask for a part's size. Raises BadSource when it is not there."""
        if part.where.startswith(STORE):
            try:
                known = self.store.head(part.where.removeprefix(STORE))
                return Found(part, known.bytes, ranges=True, version=known.etag)
            except NotFound as error:
                raise BadSource(f"{part.name} is missing: {error}") from error
        try:
            with self._get(part, {"Range": "bytes=0-0"}) as answer:
                if answer.status_code == HTTPStatus.PARTIAL_CONTENT:
                    total = answer.headers.get("Content-Range", "").rpartition("/")[2]
                    if not total.isdecimal():
                        raise BadSource(f"{part.name}: its server does not tell its size")
                    return Found(part, int(total), ranges=True, version=_version(answer))
                if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise BadSource(f"{part.name} is empty")
                self.require_ok(part, answer)
                length = answer.headers.get("Content-Length", "")
                size = int(length) if length.isdecimal() else -1
                return Found(part, size, ranges=False, version=_version(answer))
        except web.BROKEN as error:
            raise BadSource(f"{part.name} cannot be fetched: {web.why(error)}") from error

    def open(self, found: Found, start: int) -> Any:  # noqa: ANN401  urllib3's answer
        """Return an http(s) part's bytes from `start` on. Raises BadSource, or what web.BROKEN has."""
        answer = self._get(found.part, {"Range": f"bytes={start}-"} if found.ranges and start else {})
        self.require_ok(found.part, answer)
        if why := _unlike(found, start, answer):
            answer.close()
            raise BadSource(f"{found.part.name}: {why}")
        left = 0 if found.ranges else start
        while left and (block := answer.raw.read(min(left, web.BLOCK))):
            left -= len(block)
        return answer.raw

    def require_ok(self, part: Part, answer: requests.Response) -> None:
        """Raise BadSource when an answer is none."""
        if not answer.ok:
            missing = answer.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
            said = f"HTTP {answer.status_code} {answer.reason}".strip()
            raise BadSource(f"{part.name} {'is missing' if missing else 'cannot be fetched'}: {said}")

    def _get(self, part: Part, headers: dict[str, str]) -> requests.Response:
        return self.session.get(part.where, stream=True, timeout=web.TIMEOUTS_S, headers=headers)


class Joined(io.RawIOBase):
    """Parts, one after another, read as one file. Reading raises BadSource.

    Args:
        reach: the way to them.
        found: the parts; of all but the last one the size must be known to be sought in.
        digest: the checksum of the whole, '' = none; it is compared when the end is read, as those of parts
            are, each when all of it was read.
        skipped: bytes that are read over rather than sought beyond, which keeps checksums.
    """

    def __init__(
        self, reach: Reach, found: Sequence[Found], digest: str = "", *, skipped: int = SKIPPED
    ) -> None:
        super().__init__()
        self._skipped = skipped
        self._reach = reach
        self._found = list(found)
        self._position = 0
        self._index = 0
        self._offset = 0
        self._source: Any = None
        self._failures = 0
        self._whole = Checksum(digest)
        self._part = Checksum(self._found[0].part.digest)

    @property
    def size(self) -> int:
        """Bytes of all parts; -1 = unknown."""
        sizes = [each.size for each in self._found]
        return -1 if -1 in sizes else sum(sizes)

    @property
    def part(self) -> str:
        """The name of the part that is read just now."""
        return self._found[min(self._index, len(self._found) - 1)].part.name

    def parts_between(self, begin: int, end: int) -> str:
        """The names of the parts that have these bytes of the whole."""
        first, last = self.part_at(begin), self.part_at(end - 1)
        return first if first == last else f"{first} to {last}"

    def part_at(self, position: int) -> str:
        """The name of the part that has this byte of the whole."""
        for each in self._found:
            if position < each.size:
                return each.part.name
            position -= each.size
        return self._found[-1].part.name

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def seekable(self) -> bool:
        """See RawIOBase."""
        return all(each.ranges for each in self._found)

    def tell(self) -> int:
        """See RawIOBase."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See RawIOBase."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        target = max(base + offset, 0)
        ahead = self._position < target <= self._position + self._skipped
        if ahead and (self._source or self._offset == 0):
            while self._position < target and self.read(min(target - self._position, web.BLOCK)):
                pass
        if target != self._position:
            self._let_go()
            self._position = self._offset = target
            self._index = 0
            while self._index < len(self._found) and self._offset >= self._found[self._index].size:
                self._offset -= self._found[self._index].size
                self._index += 1
            self._whole.spoil()
            self._part.spoil()
            if self._offset == 0 and self._index < len(self._found):
                self._part = Checksum(self._found[self._index].part.digest)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """See RawIOBase. Raises BadSource."""
        view = memoryview(buffer).cast("B")
        while self._index < len(self._found):
            block = self._next(len(view))
            if block:
                view[: len(block)] = block
                self._offset += len(block)
                self._position += len(block)
                self._whole.take(block)
                self._part.take(block)
                self._failures = 0
                if self._offset == self._found[self._index].size:
                    self._end_part()
                return len(block)
            self._end_part()
        return 0

    def close(self) -> None:
        """See RawIOBase."""
        self._let_go()
        super().close()

    def _next(self, most: int) -> bytes:
        """Return the next bytes of the part, b'' at its end."""
        found = self._found[self._index]
        if self._offset == found.size:
            return b""
        most = min(most, found.size - self._offset) if found.size > 0 else most
        while True:
            try:
                block = self._read(found, most)
                if not block and found.size >= 0:
                    raise OSError(f"it ends after {self._offset:,} of {found.size:,} bytes")
            except (*web.BROKEN, StoreError) as error:
                self._let_go()
                if self._failures == len(PAUSES_S) or web.wrong(error):
                    said = str(error) if isinstance(error, StoreError) else web.why(error)
                    raise BadSource(
                        f"{found.part.name} is cut off: {said} after {self._offset:,} bytes"
                    ) from error
                time.sleep(PAUSES_S[self._failures])
                self._failures += 1
            else:
                return block

    def _read(self, found: Found, most: int) -> bytes:
        if found.part.where.startswith(STORE):
            if not self._source or not (block := self._source.read(most)):
                length = min(STORE_BLOCK, found.size - self._offset)
                key = found.part.where.removeprefix(STORE)
                self._source = io.BytesIO(self._reach.store.get_range(key, self._offset, length))
                block = self._source.read(most)
            return bytes(block)
        if not self._source:
            self._source = self._reach.open(found, self._offset)
        content: bytes = self._source.read(most)
        return content

    def _end_part(self) -> None:
        """Go on to the next part."""
        self._let_go()
        part = self._found[self._index].part
        if self._part.differs():
            raise WrongDigest(f"{part.name} is not what it should be: its checksum is {self._part.value}")
        self._index, self._offset = self._index + 1, 0
        if self._index < len(self._found):
            self._part = Checksum(self._found[self._index].part.digest)
        elif self._whole.differs():
            raise WrongDigest(
                f"the archive that begins with {self._found[0].part.name} is not what it should be: "
                f"its checksum is {self._whole.value}"
            )

    def _let_go(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None


def _version(answer: requests.Response) -> str:
    """Return what changes with a file, as its server says it, after the server: mirrors have others."""
    tag = answer.headers.get("ETag", "")
    return "" if not tag or tag.startswith("W/") else f"{urlsplit(answer.url).netloc} {tag}"


def _unlike(found: Found, start: int, answer: requests.Response) -> str:
    """Return in what an answer is another file or place than what was asked for, '' when it is neither."""
    length, version = answer.headers.get("Content-Length", ""), _version(answer)
    host = found.version.split(" ")[0]
    changed = host and version.split(" ")[0] == host and version != found.version
    whole = not (found.ranges and start)
    if changed or (whole and found.size >= 0 and length not in ("", str(found.size))):
        return "it has changed at its server meanwhile"
    if whole:
        return ""
    if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
        return "its server gives ranges at one time and none at another"
    place = answer.headers.get("Content-Range", "")
    if not (place.startswith(f"bytes {start}-") and place.endswith(f"/{found.size}")):
        return f"its server gives {place[:50] or 'some place'}, asked for {start} on of {found.size}"
    return ""
