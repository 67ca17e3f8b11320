"""Images come from the object store in order, some of them ahead, within a given memory."""

from __future__ import annotations

import io
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

from tasks import Image

from muster_node import sets
from muster_node.stores.base import NotFound, Settings
from muster_node.stores.open import open_store

FETCH_THREADS = 4
FETCH_AHEAD = 16


@dataclass(frozen=True)
class Object:
    """What is fetched at once: an object of the store, or `bytes` of one from the byte `start` on (-1 = all).

    `images`: what is in it, one or, of a pack, those that are wanted.
    """

    key: str
    bytes: int
    images: tuple[Image, ...] = ()
    start: int = -1


Fetch = Callable[[Object], bytes | None]
"""Returns None for an object that the store has not."""


def objects(images: Iterable[Image], dataset: str, packs: Mapping[str, int]) -> Iterator[Object]:
    """Return what to fetch for `images`, in their order; `packs` says how large each pack is."""
    for pack, group in groupby(images, key=lambda image: image.pack if image.start < 0 else ""):
        if pack:
            yield Object(pack, packs.get(pack, 0), tuple(group))
        else:
            for each in group:
                key = each.pack or sets.image_key(dataset, each.name)
                yield Object(key, each.bytes, (each,), each.start)


def fetcher(settings: Settings) -> Fetch:
    """Return what fetches from the store, from several threads at once. It raises StoreError."""
    store = open_store(settings)

    def fetch(item: Object) -> bytes | None:
        try:
            if item.start < 0:
                return store.get(item.key)
            return store.get_range(item.key, item.start, item.bytes)
        except NotFound:
            return None

    return fetch


def ahead(fetch: Fetch, wanted: Iterable[Object], most: int) -> Iterator[tuple[Object, bytes | None]]:
    """Fetch objects in order: at most FETCH_AHEAD and `most` bytes at a time, a single one excepted."""
    waiting: deque[tuple[Object, Future[bytes | None]]] = deque()
    held = 0
    with ThreadPoolExecutor(FETCH_THREADS) as pool:
        try:
            for item in wanted:
                while waiting and (len(waiting) == FETCH_AHEAD or held + item.bytes > most):
                    first, content = waiting.popleft()
                    yield first, content.result()
                    held -= first.bytes
                waiting.append((item, pool.submit(fetch, item)))
                held += item.bytes
            while waiting:
                first, content = waiting.popleft()
                yield first, content.result()
        finally:
            pool.shutdown(cancel_futures=True)


def contents(wanted: Iterable[Object], settings: Settings, most: int) -> Iterator[tuple[Image, bytes | None]]:
    """Fetch images in order, `most` bytes ahead; of one that the store has no more the content is None.

    Raises StoreError.
    """
    for item, content in ahead(fetcher(settings), wanted, most):
        first = item.images[0]
        if content is None or not first.pack or first.start >= 0:
            yield from ((image, content) for image in item.images)
        else:
            yield from members(content, item.images)


def members(content: bytes, images: Iterable[Image]) -> Iterator[tuple[Image, bytes | None]]:
    """Read images out of a pack."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for image in images:
            try:
                member = archive.extractfile(image.name)
            except KeyError:
                member = None
            yield image, member.read() if member else None
