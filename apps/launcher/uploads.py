"""Pictures as browsers send them, one after another; none is ever written to a disk.

How much there is, is counted as it comes: an upload that does not say how long it is has the same limits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

MIB = 1 << 20
LARGEST = 20 * MIB
"""Bytes of a picture."""
MOST = 50
"""Pictures in one upload."""
ALL = MOST * LARGEST + MIB
"""Bytes of an upload; of a longer one the rest is not read."""
NAME_LENGTH = 120


class Refused(Exception):
    """An upload is not taken. Fields: HTTP's `status`; the text is one line for a person."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


@dataclass(frozen=True)
class Upload:
    """A file. `content`: None = it is too large."""

    name: str
    content: bytes | None


async def uploads(stream: AsyncIterator[bytes], content_type: str) -> AsyncIterator[Upload]:
    """Yield the files of a form. Raises Refused; what is sent after that has still to be read, see `drain`.

    Args:
        stream: the body as it comes, see `limited`.
        content_type: the header of that name.
    """
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise Refused(415, "This is no upload of a form; open the page and choose a picture there")
    parser = PushMultipartParser(options["boundary"])
    count = 0
    try:
        with parser:
            part = _Part()
            async for chunk in stream:
                if parser.closed:
                    continue
                for event in parser.parse(chunk):
                    if isinstance(event, MultipartSegment):
                        part = _Part(event.filename)
                    elif event is not None:
                        part.add(event)
                    elif part.is_file:
                        count += 1
                        if count > MOST:
                            raise Refused(413, f"At most {MOST} pictures at a time; choose fewer")
                        yield part.done()
    except MultipartError as error:
        raise Refused(400, "The upload has arrived damaged; send it again") from error


class _Part:
    """One field of a form in the making."""

    def __init__(self, name: str | None = None) -> None:
        self._name = name
        self._held = bytearray()
        self._bytes = 0

    @property
    def is_file(self) -> bool:
        """Whether it is a file: a form in which none was chosen sends one without name and content."""
        return bool(self._name or (self._name is not None and self._bytes))

    def add(self, more: bytes | bytearray) -> None:
        """Take more of its content, or forget it all once it is too large."""
        self._bytes += len(more)
        if self._name is None or self._bytes > LARGEST:
            self._held.clear()
        else:
            self._held += more

    def done(self) -> Upload:
        """Return the file."""
        name = (self._name or "").replace("\\", "/").rpartition("/")[2][:NAME_LENGTH] or "picture"
        return Upload(name, None if self._bytes > LARGEST else bytes(self._held))


async def limited(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a body as it comes. Raises Refused when there is more of it than any upload may have."""
    read = 0
    async for chunk in stream:
        read += len(chunk)
        if read > ALL:
            raise Refused(413, f"An upload has at most {MOST} pictures of {LARGEST // MIB} MB; send fewer")
        yield chunk


async def drain(stream: AsyncIterator[bytes]) -> None:
    """Read and forget the rest of a body: a browser shows no answer that comes before it has sent all."""
    try:
        async for _ in stream:
            pass
    except Refused:
        return
