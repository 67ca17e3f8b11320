"""Stores that others run, and a folder as the store: S3, Swift's own protocol, keys."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO

import pytest

from muster_node.stores.base import NotFound, Settings, StoreError
from muster_node.stores.open import open_store
from provision.core.errors import NotReady
from provision.core.spec import ObjectStoreSpec
from provision.data.stores.folder import ServedFolder
from provision.data.stores.keys import StoreKeys
from provision.data.stores.open import check
from provision.data.stores.s3_server import FolderServer
from tests.fakes.servers import NoBucket, Server, SwiftHandler


@pytest.fixture
def swift():
    server = Server(SwiftHandler)
    yield server
    server.shutdown()


def swift_spec(server: Server) -> ObjectStoreSpec:
    return ObjectStoreSpec(kind="swift", endpoint=f"{server.url}/auth/v1.0")


def test_wrong_swift_keys_are_one_line(swift) -> None:
    with pytest.raises(NotReady, match="HTTP 401"):
        check(swift_spec(swift), StoreKeys("me:you", "no"))


def test_a_store_that_is_not_there_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr("muster_node.stores.swift.PAUSE_S", 0.01)
    gone = ObjectStoreSpec(kind="swift", endpoint="http://127.0.0.1:1/auth")
    with pytest.raises(NotReady, match="does not answer") as error:
        check(gone, StoreKeys("a", "b"))
    assert "\n" not in str(error.value)


@pytest.fixture
def folder(tmp_path):
    server = FolderServer(ServedFolder.at(tmp_path / "store"), "muster", StoreKeys("folder", "secret"))
    yield server
    server.shutdown()


def test_a_folder_is_a_store_for_nodes_and_for_this_computer(folder, monkeypatch) -> None:
    monkeypatch.setattr("provision.data.stores.s3_server.PAGE", 2)
    url = f"http://127.0.0.1:{folder.server_address[1]}"
    client = open_store(Settings(url, "folder", "secret", "muster"))
    for number in range(5):
        client.put(f"set/part {number}&", b"x" * number)
    assert dict(client.names("set/")) == {f"set/part {n}&": n for n in range(5)}
    assert client.get("set/part 4&") == b"xxxx"
    with pytest.raises(NotFound):
        client.get("set/none")
    assert [item.key for item in folder.store.objects()] == [f"set/part {n}&" for n in range(5)]
    folder.store.remove([item.key for item in folder.store.objects()])
    assert list(folder.store.root.iterdir()) == []


def test_a_folder_takes_a_large_object_in_parts(folder) -> None:
    url = f"http://127.0.0.1:{folder.server_address[1]}"
    client = open_store(Settings(url, "folder", "secret", "muster"))
    content = bytes(range(250)) * (6 << 12)
    client.upload("results/model", BytesIO(content), len(content), 5 << 20)
    assert client.get("results/model") == content
    assert list(client.names("")) == [("results/model", len(content))]
    with pytest.raises(OSError, match="it ended after"):
        client.upload("results/other", BytesIO(content), len(content) + 1000, 5 << 20)
    assert [path.name for path in (folder.store.root / "results").iterdir()] == ["model"]


def test_who_has_not_the_keys_gets_nothing_of_a_folder(folder, monkeypatch) -> None:
    folder.store.put("set/x", b"x")
    url = f"http://127.0.0.1:{folder.server_address[1]}"
    for access, secret in (("folder", "wrong"), ("other", "secret")):
        with pytest.raises(StoreError, match="HTTP 403 SignatureDoesNotMatch"):
            open_store(Settings(url, access, secret, "muster")).get("set/x")
    client = open_store(Settings(url, "folder", "secret", "muster"))
    with pytest.raises(StoreError, match="HTTP 400 InvalidURI"):
        client.get("../outside")
    for key in ("../outside", "a/../../x", ""):
        with pytest.raises(StoreError, match="is no key"):
            folder.store.place(key)
    past = datetime.fromtimestamp(0, UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: past)
    with pytest.raises(StoreError, match="HTTP 403"):
        client.get("set/x")


def test_a_container_that_is_missing_is_no_set_that_is_missing() -> None:
    server = Server(NoBucket)
    with pytest.raises(NotReady, match="Make the container, or correct object_store and its keys"):
        check(ObjectStoreSpec(kind="s3", endpoint=server.url), StoreKeys("a", "b"))
    server.shutdown()
