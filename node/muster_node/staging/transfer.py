"""One piece on its way: from the object store into HDFS, without a stop on a disk of ours."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

from muster_node.hdfs.folder import Folder
from muster_node.hdfs.webhdfs import Hdfs, HdfsError, HdfsFull
from muster_node.sets import SetFile
from muster_node.staging.plan import Job, Piece
from muster_node.stores.base import NotFound, Store, StoreError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Target = Hdfs | Folder
RETRY_PAUSES_S = (0.5, 2.0, 5.0)
"""A DataNode that ends takes its piece along; the next try goes to another one."""


class Failure(Exception):
    """Staging cannot go on; the text is one line."""


class Damaged(Exception):
    """An object is not what its set's manifest says; the text is one line."""


class Contents(io.RawIOBase):
    """A piece's content as it comes: its objects one after the other, or the range of one.

    Each object is compared with its SHA-256 at its end. Those of a pack are asked for together, by `pool`:
    with what is small, most is waiting for the store. `seek(0)` begins again.

    Reading raises Damaged, NotFound, StoreError, OSError.
    """

    def __init__(self, store: Store, piece: Piece, pool: ThreadPoolExecutor) -> None:
        self._store = store
        self._piece = piece
        self._pool = pool
        self._blocks = _nothing()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Begin again: nothing else is possible."""
        if offset or whence != io.SEEK_SET:
            raise io.UnsupportedOperation("seek")
        self._drop()
        self._blocks = self._fetch()
        return 0

    def close(self) -> None:
        """Leave the rest; nothing more of it is asked for."""
        if not self.closed:
            self._drop()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer, but at the end: many small sends cost a DataNode much more than one large one."""
        view = memoryview(buffer).cast("B")
        at = 0
        while at < len(view) and self._fill():
            length = min(len(view) - at, len(self._left))
            view[at : at + length], self._left = self._left[:length], self._left[length:]
            at += length
        return at

    def _drop(self) -> None:
        self._blocks.close()
        self._blocks, self._left = _nothing(), memoryview(b"")

    def _fill(self) -> bool:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._left = memoryview(block)
        return True

    def _fetch(self) -> Generator[bytes]:
        members = self._piece.file.members
        if not self._piece.whole:
            yield from self._range(members[0])
        elif len(members) == 1:
            yield from self._whole(members[0])
        else:
            coming = [self._pool.submit(self._small, item) for item in members]
            try:
                yield from (small.result() for small in coming)
            finally:
                for small in coming:
                    small.cancel()

    def _small(self, item: SetFile) -> bytes:
        return b"".join(self._whole(item))

    def _whole(self, item: SetFile) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for block in self._store.blocks(item.key):
            digest.update(block)
            yield block
        if digest.hexdigest() != item.sha256:
            raise Damaged(mismatch(item, digest.hexdigest()))

    def _range(self, item: SetFile) -> Iterator[bytes]:
        """Yield the range; it is compared with the others, when they are put together."""
        left = self._piece.length
        for block in self._store.range_blocks(item.key, self._piece.start, left):
            left -= len(block)
            yield block
        if left:
            raise Damaged(f"{item.key} in the object store is shorter than its manifest says")


def _nothing() -> Generator[bytes]:
    yield from ()


def mismatch(item: SetFile, digest: str) -> str:
    """Say in words that an object has another SHA-256 than its set's manifest says."""
    return f"{item.key} in the object store is damaged: SHA-256 {digest[:12]}, wanted {item.sha256[:12]}"


def move(job: Job, store: Store, target: Target, pool: ThreadPoolExecutor, *, copies: int) -> None:
    """Bring a piece to its place, where it appears whole and verified or not at all.

    A range is verified with the others, when they are put together.

    Raises Failure, StoreError, HdfsError, OSError.
    """
    for pause_s in (*RETRY_PAUSES_S, None):
        try:
            with Contents(store, job.piece, pool) as source:
                target.write(job.coming, cast("IO[bytes]", source), job.piece.length, copies=copies)
            target.replace(job.coming, job.place)
        except HdfsFull:
            raise
        except (Damaged, NotFound) as error:
            if pause_s is None:
                with suppress(HdfsError):
                    target.remove(job.coming)
                also = ", though the set's manifest names it" if isinstance(error, NotFound) else ""
                raise Failure(f"{error}{also}; delete the set and run main.yml again") from error
            time.sleep(pause_s)
        except (StoreError, HdfsError, OSError):
            if pause_s is None:
                raise
            time.sleep(pause_s)
        else:
            return
