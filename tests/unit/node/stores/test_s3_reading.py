"""What GETs do without botocore's client, and when it is asked after all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from muster_node.stores.base import NotFound, Settings, StoreError
from muster_node.stores.s3 import S3Store
from tests.fakes.servers import Server, StoreHandler


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(StoreHandler)
    server.files["/muster/set/größe #1"] = bytes(range(250))
    yield server
    server.shutdown()


def on(server: Server) -> S3Store:
    return S3Store(Settings(server.url, "key", "secret", "muster"))


def test_what_goes_well_and_what_is_missing_needs_no_client(server: Server) -> None:
    store = on(server)
    assert store.get("set/größe #1") == bytes(range(250))
    assert store.get_range("set/größe #1", 100, 3) == bytes((100, 101, 102))
    with pytest.raises(NotFound, match="the object store has no set/other"):
        store.get("set/other")
    assert len(server.requests) == 3
    assert store._client is None, "it takes longer to make than all the rest to import"


class Tired(StoreHandler):
    """Answers the first request with 503."""

    def send_object(self, content: bytes) -> None:
        if len(self.server.requests) > 1:
            super().send_object(content)
        else:
            self.answer(503)


def test_the_client_asks_again_where_the_store_did_not_do_it() -> None:
    server = Server(Tired)
    server.files["/muster/x"] = b"content"
    store = on(server)
    assert store.get("x") == b"content"
    assert server.requests == ["GET /muster/x", "GET /muster/x"]
    assert store._client is not None
    server.shutdown()


def test_threads_that_come_for_the_client_together_get_one() -> None:
    store, made, threads = S3Store(Settings("http://x", "key", "secret", "muster")), [], 8
    coming = threading.Barrier(threads)

    def make() -> object:
        made.append(threading.get_ident())
        with suppress(threading.BrokenBarrierError):
            second.wait(0.2)  # here another thread would be, too
        return object()

    def ask(_: int) -> object:
        coming.wait(10)
        return store.client

    second = threading.Barrier(2)
    store._made = make  # type: ignore[method-assign]
    with ThreadPoolExecutor(threads) as pool:
        found = set(pool.map(ask, range(threads)))
    assert len(found) == len(made) == 1


class Stubborn(StoreHandler):
    """Knows no ranges: it sends all of an object, whatever is asked for; breaks off the first answer."""

    def send_object(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        whole = len(self.server.requests) > 1
        self.wfile.write(content if whole else content[:100])
        self.close_connection = not whole


def test_all_of_an_object_is_never_taken_for_a_range_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster_node.stores.reading.PAUSES_S", (0.01,))
    server = Server(Stubborn)
    server.files["/muster/x"] = bytes(range(250))
    for read in (lambda store: store.get("x"), lambda store: store.get_range("x", 10, 20)):
        with pytest.raises(StoreError, match="refuses x: it sends all of an object where a range is asked"):
            read(on(server))
    server.shutdown()


class Changing(StoreHandler):
    """Breaks off its first answer, and takes no notice of If-Match: the rest is of another object."""

    def send_object(self, content: bytes) -> None:
        first = len(self.server.requests) == 1
        start = int(self.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{len(self.server.requests)}"')
        self.end_headers()
        self.wfile.write(content[start : 100 if first else None])
        self.close_connection = first


def test_the_rest_of_another_object_is_never_taken_for_that_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("muster_node.stores.reading.PAUSES_S", (0.01,))
    server = Server(Changing)
    server.files["/muster/x"] = bytes(range(250))
    with pytest.raises(StoreError, match="another object came where it broke off"):
        on(server).get("x")
    server.shutdown()


class Torn(StoreHandler):
    """Says that there is no such object in chunks, of which it breaks off the first; then it says it whole."""

    def answer(self, status: int, content: bytes = b"") -> None:
        if len(self.server.requests) > 1:
            super().answer(status, content)
            return
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"40\r\n<Error>")
        self.close_connection = True


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    server = Server(Torn)
    with pytest.raises(NotFound):
        on(server).get("x")
    assert len(server.requests) == 2
    server.shutdown()
