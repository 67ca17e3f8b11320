"""Images from a list of addresses: several at a time, but few from one host."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self
from urllib.parse import urlsplit

import requests

from muster_node.ingest import web
from muster_node.ingest.lists import Listed
from muster_node.ingest.web import Unfetched

THREADS = 8
LARGEST = 64 << 20
"""Bytes of one image from the web."""


class Fetcher:
    """Fetches images; a context.

    Args:
        own: hosts that the user has named.
        per_host: connections to one host at a time, from here.
    """

    def __init__(self, own: frozenset[str], per_host: int) -> None:
        self._own = own
        self._local = threading.local()
        self._hosts: dict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(per_host))
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def fetch(self, images: Sequence[Listed]) -> Iterator[tuple[Listed, bytes | Unfetched]]:
        """Yield each image with its content, or with why there is none, in the order given."""
        for begin in range(0, len(images), THREADS):
            batch = images[begin : begin + THREADS]
            yield from zip(batch, self._pool.map(self._one, batch), strict=True)

    def _one(self, image: Listed) -> bytes | Unfetched:
        """Try an image's addresses one after the other."""
        failure = Unfetched("it has no address", lasting=True)
        lasting = True
        for url in image.urls:
            try:
                with self._turn(url):
                    return web.whole(self._session(), url, LARGEST)
            except Unfetched as error:
                failure, lasting = error, lasting and error.lasting
        return Unfetched(str(failure), lasting=lasting)

    def _turn(self, url: str) -> threading.Semaphore:
        with self._lock:
            return self._hosts[_host(url)]

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = web.session(self._own)
        session: requests.Session = self._local.session
        return session


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
