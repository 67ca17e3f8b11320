"""What every kind of store does, told to each of them: S3 (moto), Swift, a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from muster_node.stores.base import NotFound, Settings, Store, part_length
from muster_node.stores.folder import FolderStore
from muster_node.stores.open import open_store
from tests.fakes.keys import KEYS, require_ordinary
from tests.fakes.servers import Server, SwiftHandler

CONTENT = bytes(range(250)) * 10
LARGE = bytes(6 << 20) + CONTENT
"""S3 takes no part of less than 5 MiB but the last."""


@pytest.fixture(scope="module")
def amazon() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["s3", "swift", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "folder":
        yield FolderStore.at(tmp_path / "a folder #1")
    elif request.param == "s3":
        name = f"bucket-{hash(request.node.name) % 10**8}"
        found = open_store(Settings(request.getfixturevalue("amazon"), "key", "secret", name))
        found.client.create_bucket(Bucket=name)
        yield found
    else:
        server = Server(SwiftHandler)
        yield open_store(Settings(f"{server.url}/auth/v1.0", "me:you", "secret", "muster", kind="swift"))
        server.shutdown()


def test_whatever_is_a_key_elsewhere_is_one_here(store: Store) -> None:
    require_ordinary(store)
    for key in KEYS:
        assert [stored.key for stored in store.objects(f"raw/{key}")] == [f"raw/{key}"]
    store.remove(f"raw/{key}" for key in KEYS)
    assert list(store.objects()) == []


def test_keys_are_listed_in_order_and_by_prefix(store: Store) -> None:
    for number in (3, 1, 2, 10):
        store.put(f"set/{number}", b"x" * number)
    store.put("settings", b"")
    assert list(store.names("set/")) == [("set/1", 1), ("set/10", 10), ("set/2", 2), ("set/3", 3)]


def test_a_range_a_look_a_stream_and_an_end(store: Store) -> None:
    store.put("set/x", CONTENT)
    assert store.get_range("set/x", 250, 3) == b"\x00\x01\x02"
    assert store.get_range("set/x", 2498, 10) == CONTENT[2498:]
    assert store.head("set/x").bytes == len(CONTENT)
    with store.open("set/x") as stream:
        assert stream.read(250) == store.get_range("set/x", 0, 250)
        assert stream.read() == CONTENT[250:]
    target = BytesIO(b"older and longer" * 1000)
    assert store.download("set/x", target) == hashlib.sha256(CONTENT).hexdigest()
    assert target.getvalue() == CONTENT
    store.remove(["set/x", "set/never"])
    for ask in (store.get, store.head, store.open, lambda key: store.get_range(key, 0, 1)):
        with pytest.raises(NotFound, match="the object store has no set/x"):
            ask("set/x")


@pytest.mark.parametrize("size", [0, 1, 5 << 20, (5 << 20) + 1, len(LARGE)])
def test_what_comes_out_is_what_went_in(store: Store, size: int) -> None:
    store.upload("results/model", BytesIO(LARGE[:size]), size, 5 << 20)
    assert store.get("results/model") == LARGE[:size]
    assert list(store.names("")) == [("results/model", size)]


def test_a_file_that_grows_is_taken_to_its_end(store: Store) -> None:
    """HDFS lists an event log that is still written with 0 bytes."""
    store.upload("x", BytesIO(LARGE), 0, 5 << 20)
    assert store.get("x") == LARGE


def test_a_source_that_ends_early_leaves_nothing(store: Store) -> None:
    for size in (100, len(LARGE)):
        with pytest.raises(OSError, match=f"it ended after {size} of {size + 1} bytes"):
            store.upload("x", BytesIO(LARGE[:size]), size + 1, 5 << 20)
    assert list(store.objects()) == []


def test_threads_share_a_store(store: Store) -> None:
    keys = [f"set/{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, key.encode()), keys))
        assert list(pool.map(store.get, keys)) == [key.encode() for key in keys]


def test_settings_that_are_equal_have_one_client() -> None:
    known = Settings("http://127.0.0.1:9", "key", "secret", "muster")
    assert open_store(known) is open_store(Settings("http://127.0.0.1:9", "key", "secret", "muster"))
    assert "secret'" not in repr(known)


def test_a_file_larger_than_one_request_may_be_is_planned_in_parts() -> None:
    limit = 5 << 30
    for size in (limit + 1, 1 << 40):
        length = part_length(size)
        assert 5 << 20 <= length <= limit, "S3 refuses smaller parts and larger ones"
        assert 1 < -(-size // length) <= 1000, "Swift takes no more segments"
