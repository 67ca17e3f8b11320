"""Stores that others run, and a folder as the store: S3, Swift's own protocol, keys."""

from __future__ import annotations

import time
from io import BytesIO

import pytest

from muster_node.stores.base import NotFound, Settings
from muster_node.stores.base import StoreError as NodeStoreError
from muster_node.stores.open import open_store
from provision.core.errors import NotReady, StoreError
from provision.core.spec import ObjectStoreSpec
from provision.data.stores import swift as store_swift
from provision.data.stores.folder import FolderServer, FolderStore
from provision.data.stores.keys import StoreKeys, obtain, record, recorded
from provision.data.stores.open import check, connect
from provision.data.stores.swift import SwiftStore
from tests.fakes.provider import spec
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


def test_large_files_travel_in_parts_and_go_whole(swift, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(store_swift, "SEGMENT", 1000)
    store = connect(swift_spec(swift), StoreKeys("me:you", "secret"))
    assert isinstance(store, SwiftStore)
    file = tmp_path / "large"
    file.write_bytes(bytes(range(250)) * 10)
    store.write("raw/large", file)
    assert sum("muster_segments/" in path for path in swift.files) == 3
    assert store.read("raw/large") == file.read_bytes()
    assert [(item.key, item.bytes) for item in store.objects("raw/")] == [("raw/large", 2500)]
    store.write("raw/small", b"small")
    store.remove(["raw/large", "raw/small", "raw/never"])
    assert [path for path in swift.files if path != "/v1/me/muster_segments"] == []


def test_a_store_that_is_not_there_is_one_line() -> None:
    with pytest.raises(StoreError, match="does not answer"):
        connect(ObjectStoreSpec(kind="swift", endpoint="http://127.0.0.1:1/auth"), StoreKeys("a", "b")).read(
            "x"
        )


@pytest.fixture
def folder(tmp_path):
    server = FolderServer(FolderStore(tmp_path / "store"), "muster", StoreKeys("folder", "secret"))
    yield server
    server.shutdown()


def test_a_folder_is_a_store_for_nodes_and_for_this_computer(folder, monkeypatch) -> None:
    monkeypatch.setattr("provision.data.stores.folder.PAGE", 2)
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
    content = bytes(range(250)) * 10
    client.upload("results/model", BytesIO(content), len(content), 1000)
    assert client.get("results/model") == content
    assert list(client.names("")) == [("results/model", 2500)]
    with pytest.raises(OSError, match="it ended after"):
        client.upload("results/other", BytesIO(content), len(content) + 1000, 1000)
    assert [path.name for path in (folder.store.root / "results").iterdir()] == ["model"]


def test_who_has_not_the_keys_gets_nothing_of_a_folder(folder, monkeypatch) -> None:
    folder.store.write("set/x", b"x")
    url = f"http://127.0.0.1:{folder.server_address[1]}"
    for access, secret in (("folder", "wrong"), ("other", "secret")):
        with pytest.raises(NodeStoreError, match="HTTP 403 SignatureDoesNotMatch"):
            open_store(Settings(url, access, secret, "muster")).get("set/x")
    client = open_store(Settings(url, "folder", "secret", "muster"))
    with pytest.raises(NodeStoreError, match="HTTP 400"):
        client.get("../outside")
    for key in ("../outside", "a/../../x", ""):
        with pytest.raises(StoreError, match="is no key"):
            folder.store.place(key)
    past = time.gmtime(0)
    monkeypatch.setattr(time, "gmtime", lambda *_: past)
    with pytest.raises(NodeStoreError, match="HTTP 403"):
        client.get("set/x")


def test_a_container_that_is_missing_is_no_set_that_is_missing() -> None:
    server = Server(NoBucket)
    with pytest.raises(NotReady, match="Make the container, or correct object_store and its keys"):
        check(ObjectStoreSpec(kind="s3", endpoint=server.url), StoreKeys("a", "b"))
    server.shutdown()


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """No keys of any kind on this computer."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "ST_USER", "ST_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def s3(**more):
    from dataclasses import replace

    return replace(spec(), object_store=ObjectStoreSpec(kind="s3", **more))


def test_keys_from_the_vault_win(nobody, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "chain")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "chained")
    given = {"store_access_key": "vault", "store_secret_key": "v"}
    keys = obtain(s3(), given)
    assert (keys.access_key, keys.chain) == ("vault", False)
    assert "v'" not in repr(keys), "secrets stay out of logs"
    record(nobody, keys)
    assert recorded(nobody) == keys
    assert (nobody / "store.json").stat().st_mode & 0o777 == 0o600


def test_keys_of_the_aws_tools_are_looked_up_again(nobody, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "one")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    record(nobody, obtain(s3(), {}))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "two")
    assert recorded(nobody).access_key == "two"


def test_no_keys_says_where_they_may_stand(nobody) -> None:
    with pytest.raises(
        NotReady, match=r"https://s3\.eu-west-1\.amazonaws\.com: there are no keys .*vault\.yml"
    ):
        obtain(s3(region="eu-west-1"), {})
