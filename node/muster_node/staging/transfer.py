"""One piece on its way: from the object store into HDFS, without a stop on a disk of ours."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING, cast

from muster_node.hdfs.folder import Folder
from muster_node.hdfs.webhdfs import Hdfs, HdfsError, HdfsFull
from muster_node.sets import SetFile
from muster_node.staging.plan import Job
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
    """The objects of a file one after the other, as they come; each is compared with its SHA-256 at its end.

    `seek(0)` begins again. Reading raises Damaged, NotFound, StoreError, OSError.
    """

    def __init__(self, store: Store, members: tuple[SetFile, ...]) -> None:
        self._store = store
        self._members = members
        self._blocks: Iterator[memoryview] = iter(())
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Begin again: nothing else is possible."""
        if offset or whence != io.SEEK_SET:
            raise io.UnsupportedOperation("seek")
        self._blocks, self._left = self._fetch(), memoryview(b"")
        return 0

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """See `io.RawIOBase`."""
        view = memoryview(buffer).cast("B")
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = block
        length = min(len(view), len(self._left))
        view[:length], self._left = self._left[:length], self._left[length:]
        return length

    def _fetch(self) -> Iterator[memoryview]:
        for item in self._members:
            digest = hashlib.sha256()
            for block in self._store.blocks(item.key):
                digest.update(block)
                yield memoryview(block)
            if digest.hexdigest() != item.sha256:
                raise Damaged(mismatch(item, digest.hexdigest()))


def mismatch(item: SetFile, digest: str) -> str:
    """Say in words that an object has another SHA-256 than its set's manifest says."""
    return f"{item.key} in the object store is damaged: SHA-256 {digest[:12]}, wanted {item.sha256[:12]}"


def move(job: Job, store: Store, target: Target, *, copies: int) -> None:
    """Bring a piece to its place, where it appears whole and verified or not at all.

    A range is verified with the others, when they are put together.

    Raises Failure, StoreError, HdfsError, OSError.
    """
    for pause_s in (*RETRY_PAUSES_S, None):
        try:
            _move(job, store, target, copies)
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


def _move(job: Job, store: Store, target: Target, copies: int) -> None:
    piece = job.piece
    source = cast("IO[bytes]", Contents(store, piece.file.members))
    if not piece.whole:
        key = piece.file.members[0].key
        content = store.get_range(key, piece.start, piece.length)
        if len(content) != piece.length:
            raise Damaged(f"{key} in the object store is shorter than its manifest says")
        source = io.BytesIO(content)
    target.write(job.coming, source, piece.length, copies=copies)
    target.replace(job.coming, job.place)
