"""What others than nodes may send to the folder that is a store."""

from __future__ import annotations

import http.client
import socket
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from muster_node.stores.base import Settings, StoreError
from muster_node.stores.open import open_store
from muster_node.stores.s3 import S3Store
from provision.data.stores import s3_server
from provision.data.stores.folder import ServedFolder
from provision.data.stores.keys import StoreKeys
from provision.data.stores.s3_server import FolderServer
from tests.fakes.keys import KEYS, require_ordinary

MIB = 1 << 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FolderServer]:
    made = FolderServer(ServedFolder.at(tmp_path / "store"), "muster", StoreKeys("folder", "secret"))
    yield made
    made.shutdown()


def client(server: FolderServer, key: str = "secret") -> S3Store:
    found = open_store(Settings(f"http://127.0.0.1:{server.server_address[1]}", "folder", key, "muster"))
    assert isinstance(found, S3Store)
    return found


def head(server: FolderServer, lines: str) -> bytes:
    """Send the head of a request alone; return the answer's head, which must come all the same."""
    with socket.create_connection(server.server_address[:2], timeout=5) as link:  # type: ignore[arg-type]
        link.sendall(f"PUT /muster/x HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n".encode())
        return link.recv(1000)


def test_nothing_is_read_of_a_body_that_is_not_signed(server: FolderServer) -> None:
    assert head(server, f"Content-Length: {300 * MIB}").startswith(b"HTTP/1.1 403 ")
    with pytest.raises(StoreError, match="403 SignatureDoesNotMatch"):
        client(server, "wrong").put("set/x", b"small")
    assert not server.store.root.exists()


def test_a_large_body_is_not_held(server: FolderServer) -> None:
    content = bytes(64 * MIB)
    store = client(server)
    store.put("set/warm", b"x")
    tracemalloc.start()
    try:
        store.put("set/x", content)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()
    assert (server.store.root / "set" / "x").stat().st_size == len(content)


def test_a_body_that_is_larger_than_any_part_is_refused(
    server: FolderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_server, "LARGEST", 1000)
    with pytest.raises(StoreError, match="400 EntityTooLarge"):
        client(server).put("set/x", bytes(1001))
    client(server).put("set/x", bytes(1000))


def send(server: FolderServer, method: str, query: str, signed: bytes, sent: bytes) -> tuple[int, bytes]:
    """Send a request that is signed for one body, with another."""
    host = f"127.0.0.1:{server.server_address[1]}"
    request = AWSRequest(method, f"http://{host}/muster/set/x{query}", {"Host": host}, data=signed)
    S3SigV4Auth(Credentials("folder", "secret"), "s3", "us-east-1").add_auth(request)
    link = http.client.HTTPConnection(host, timeout=5)
    link.request(method, f"/muster/set/x{query}", sent, dict(request.headers))
    answer = link.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("query", ["", "?partNumber=1&uploadId=abc"])
@pytest.mark.parametrize("sent", [b"other", b"content and more"])
def test_a_body_that_is_not_the_signed_one_leaves_nothing(
    server: FolderServer, query: str, sent: bytes
) -> None:
    assert send(server, "PUT", query, b"content", sent) == (400, b"<Error><Code>BadDigest</Code></Error>")
    assert not [path for path in server.store.root.rglob("*") if path.is_file()]
    assert send(server, "PUT", query, b"content", b"content")[0] == 200, "else this shows nothing"


def test_whatever_is_a_key_elsewhere_is_one_in_a_folder(server: FolderServer) -> None:
    store = client(server)
    require_ordinary(store)
    store.remove([f"raw/{key}" for key in KEYS[1:]])
    assert list(store.names("")) == [(f"raw/{KEYS[0]}", 0)]


def test_ranges_of_a_folders_objects(server: FolderServer) -> None:
    store = client(server)
    store.put("set/x", b"0123456789")
    assert (store.get_range("set/x", 2, 3), store.get_range("set/x", 8, 9)) == (b"234", b"89")
    with pytest.raises(StoreError, match="HTTP 416 InvalidRange"):
        store.get_range("set/x", 10, 1)


@pytest.mark.parametrize("lines", ["Content-Length: -1", "Content-Length: 1e3", "Transfer-Encoding: chunked"])
def test_a_body_without_a_length_is_refused(
    server: FolderServer, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    monkeypatch.setattr(s3_server, "signed_by", lambda *_: True)
    assert head(server, lines).startswith(b"HTTP/1.1 400 ")


def test_a_request_that_takes_no_body_brings_none(server: FolderServer) -> None:
    server.store.put("set/x", b"x")
    hidden = b"DELETE /muster/set/x HTTP/1.1\r\n\r\n"
    assert send(server, "GET", "", b"", b"") == (200, b"x")
    assert send(server, "GET", "", b"", hidden) == (400, b"<Error><Code>EntityTooLarge</Code></Error>")
