"""What GETs do without botocore's client, and when it is asked after all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from muster_node.stores.base import NotFound, Settings
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
    assert "client" not in vars(store), "it takes longer to make than all the rest to import"


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
    assert "client" in vars(store)
    server.shutdown()
