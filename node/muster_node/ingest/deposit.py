"""Images on their way into the object store: large ones as they are, small ones in packs."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from muster_node import packs, sets
from muster_node.ingest import members
from muster_node.ingest.form import Form, Unreadable, shaped
from muster_node.ingest.journal import Piece, patiently
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store

THREADS = 4
AHEAD_BYTES = 48 << 20
"""Bytes on their way to the store at a time."""


class Deposit:
    """Takes images in and writes down in `piece` what it did. A context: all is there at its end.

    Args:
        settings: of the cluster's object store.
        dataset: whose images these are.
        name: of the piece of work.
        form: what becomes of each image.
    """

    def __init__(self, settings: Settings, dataset: str, name: str, form: Form) -> None:
        self.piece = Piece(name)
        self._store = open_store(settings)
        self._dataset = dataset
        self._form = form
        self._pool = ThreadPoolExecutor(THREADS)
        self._sent: list[tuple[Future[None], int]] = []
        self._waiting: list[tuple[str, bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        try:
            if kind is None:
                self._pack()
                for future, _size in self._sent:
                    future.result()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def aside(self, name: str, why: str) -> None:
        """Note what is left aside."""
        self.piece.aside.append((name[:500].encode(errors="replace").decode(), why))

    def failed(self, name: str, url: str, why: str, *, lasting: bool) -> None:
        """Note what could not be fetched; not `lasting`: another time it may come."""
        self.piece.failed.append((name, url, why))
        if not lasting:
            self.piece.passing.append(name)

    def image(self, name: str, content: bytes) -> None:
        """Take an image in, or note why not. Raises StoreError."""
        if not members.kind_of(content):
            self.aside(name, "its content is no image")
            return
        try:
            content = shaped(content, self._form)
        except Unreadable as error:
            self.aside(name, str(error))
            return
        self.piece.raw_bytes += len(content)
        if len(content) > packs.SMALL:
            self.piece.images[name] = len(content)
            self._send(sets.image_key(self._dataset, name), content)
            return
        if sum(len(each) for _, each in self._waiting) + len(content) > packs.PACK_BYTES:
            self._pack()
        self._waiting.append((name, content))

    def table(self, key: str, content: bytes) -> None:
        """Keep the labels' file. Raises StoreError."""
        self.piece.table = key
        self._send(key, content)

    def _pack(self) -> None:
        if not self._waiting:
            return
        content = packs.pack(self._waiting)
        key = sets.pack_key(self._dataset, hashlib.sha256(content).hexdigest()[:16])
        self.piece.packs[key] = [name for name, _ in self._waiting]
        self.piece.sizes[key] = len(content)
        self._waiting = []
        self._send(key, content)

    def _send(self, key: str, content: bytes) -> None:
        while self._sent and sum(size for _, size in self._sent) + len(content) > AHEAD_BYTES:
            self._sent.pop(0)[0].result()
        self._sent.append((self._pool.submit(self._put, key, content), len(content)))

    def _put(self, key: str, content: bytes) -> None:
        patiently(lambda: self._store.upload(key, io.BytesIO(content), len(content)))
