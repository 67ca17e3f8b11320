"""Object stores as nodes use them: S3 in its forms, Swift's own protocol, a machine's own role."""

from __future__ import annotations

import grp
import hashlib
import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path

import pytest

from muster_node import role_credentials
from muster_node.stores.base import NotFound, Settings, Store, StoreError, part_length
from muster_node.stores.open import open_store
from muster_node.stores.sigv4 import EMPTY_SHA256, authorization
from tests.fakes.servers import NoBucket, Server, StoreHandler, SwiftHandler

CONTENT = bytes(range(250)) * 10


@pytest.fixture
def s3() -> Iterator[Server]:
    server = Server(StoreHandler)
    yield server
    server.shutdown()


@pytest.fixture
def swift() -> Iterator[Server]:
    server = Server(SwiftHandler)
    yield server
    server.shutdown()


def test_signature_is_amazons_own_example():
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": EMPTY_SHA256,
        "x-amz-date": "20130524T000000Z",
    }
    header = authorization(
        "GET",
        "/test.txt",
        "",
        headers,
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        region="us-east-1",
    )
    assert header.endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")


def test_listing_goes_through_all_pages(s3: Server) -> None:
    s3.files = {f"/muster/set/{number}": b"x" * number for number in range(7)}
    assert list(on(s3).names("set/")) == [(f"set/{number}", number) for number in range(7)]


def on(server: Server) -> Store:
    return open_store(Settings(server.url, "key", "secret", "muster"))


def settings(server: Server, **more) -> Settings:
    return Settings(f"{server.url}/auth/v1.0", "me:you", "secret", "muster", kind="swift", **more)


def test_a_node_reads_and_writes_swift_and_gets_a_new_token_in_time(swift) -> None:
    client = open_store(settings(swift))
    for number in range(7):
        client.put(f"set/part {number}", b"x" * number)
    swift.files["/v1/me/muster/set/large"] = b"DLO"
    assert client.get("set/part 5") == b"xxxxx"
    assert dict(client.names("set/")) == {"set/large": 7, **{f"set/part {n}": n for n in range(7)}}
    target = BytesIO()
    assert client.download("set/large", target) == hashlib.sha256(b"dynamic").hexdigest()
    with pytest.raises(NotFound):
        client.get("set/none")


class Amazon(StoreHandler):
    """Notes hosts and headers; the container is in the host's name."""

    def parse(self):
        self.server.folders.add(f"{self.headers['Host']} {self.headers.get('x-amz-security-token')}")
        path, query = super().parse()
        return f"/muster{path}", query


def local_names():
    """getaddrinfo that finds every name on loopback."""
    import socket

    real = socket.getaddrinfo
    return lambda _host, *words, **more: real("127.0.0.1", *words, **more)


class Metadata(BaseHTTPRequestHandler):
    """The metadata service of an EC2 machine with a role, version 2."""

    def log_message(self, *_args) -> None:
        return

    def do_PUT(self) -> None:
        self.send(200 if "x-aws-ec2-metadata-token-ttl-seconds" in self.headers else 400, "token")

    def do_GET(self) -> None:
        known = {"AccessKeyId": "AKIA", "SecretAccessKey": "s", "Token": "t", "Expiration": "later"}
        end = self.path.endswith("/train")
        allowed = self.headers.get("x-aws-ec2-metadata-token") == "token"
        self.send(200 if allowed else 401, json.dumps(known) if end else "train")

    def send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def test_a_machines_own_role_opens_the_store(tmp_path, capsys) -> None:
    server = Server(Metadata)
    target, group = tmp_path / "store-role.json", grp.getgrgid(os.getgid()).gr_name
    (tmp_path / "store.json").write_text(
        json.dumps({"endpoint": "https://x", "container": "c", "access_key": "", "secret_key": ""})
    )
    assert role_credentials.main(server.url, target, group) == 0
    known = Settings.load(tmp_path / "store.json")
    assert (known.access_key, known.secret_key, known.session_token) == ("AKIA", "s", "t")
    assert target.stat().st_mode & 0o777 == 0o640
    server.shutdown()
    server.server_close()
    assert role_credentials.main(server.url, target, group) == 1
    said = capsys.readouterr().err
    assert "has no role that could use the object store" in said
    assert said.count("\n") == 1


def test_container_in_the_hosts_name_and_session_token(monkeypatch) -> None:
    server = Server(Amazon)
    monkeypatch.setattr("socket.getaddrinfo", local_names())
    port = server.server_address[1]
    known = Settings(
        f"http://s3.example.org:{port}", "a", "b", "muster", session_token="tok", virtual_host=True
    )
    client = open_store(known)
    client.put("set/x", b"content")
    assert client.get("set/x") == b"content"
    assert list(client.names("set/")) == [("set/x", 7)]
    assert f"muster.s3.example.org:{port} tok" in server.folders
    assert server.requests[0] == "PUT /set/x"
    server.shutdown()


def test_a_file_larger_than_one_request_may_be_is_planned_in_parts(tmp_path: Path) -> None:
    limit = 5 << 30
    with (tmp_path / "model").open("wb") as sparse:
        sparse.truncate(limit + 1)
    size = (tmp_path / "model").stat().st_size
    for each in (size, 1 << 40):
        length = part_length(each)
        assert 5 << 20 <= length <= limit, "S3 refuses smaller parts and larger ones"
        assert 1 < -(-each // length) <= 1000, "Swift takes no more segments"


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 2000])
def test_what_comes_out_is_what_went_in(s3: Server, size: int) -> None:
    on(s3).upload("x", BytesIO(CONTENT[:size]), size, 1000)
    assert s3.files == {"/muster/x": CONTENT[:size]}
    assert any("partNumber" in request for request in s3.requests) is (size > 1000)


def test_a_file_that_grows_is_taken_to_its_end(s3: Server) -> None:
    """HDFS lists an event log that is still written with 0 bytes."""
    on(s3).upload("x", BytesIO(CONTENT), 0, 1000)
    assert s3.files == {"/muster/x": CONTENT}


def test_s3_takes_a_large_object_in_parts(s3: Server) -> None:
    on(s3).upload("results/model", BytesIO(CONTENT), len(CONTENT), 1000)
    assert s3.files == {"/muster/results/model": CONTENT}
    assert sum("partNumber" in request for request in s3.requests) == 3


def test_parts_that_cannot_be_put_together_are_taken_back(s3: Server) -> None:
    client = on(s3)
    with pytest.raises(OSError, match="it ended after 2500 of 3500 bytes"):
        client.upload("results/model", BytesIO(CONTENT), len(CONTENT) + 1000, 1000)
    assert (s3.files, s3.parts) == ({}, {})
    s3.broken_upload = True
    with pytest.raises(StoreError, match="does not put results/model together: try again"):
        client.upload("results/model", BytesIO(CONTENT), len(CONTENT), 1000)
    assert (s3.files, s3.parts) == ({}, {})


def test_swift_takes_a_large_object_in_segments(swift: Server) -> None:
    client = open_store(settings(swift))
    client.upload("results/model", BytesIO(CONTENT), len(CONTENT), 1000)
    assert client.get("results/model") == CONTENT
    assert dict(client.names("results/")) == {"results/model": 2500}
    assert sum("muster_segments/results/model/" in path for path in swift.files) == 3
    swift.files.clear()
    with pytest.raises(OSError, match="it ended after"):
        client.upload("results/model", BytesIO(CONTENT), len(CONTENT) + 1000, 1000)
    assert [path for path in swift.files if path != "/v1/me/muster_segments"] == []


def test_wrong_swift_keys_are_one_line(swift: Server) -> None:
    wrong = Settings(f"{swift.url}/auth/v1.0", "me:you", "no", "muster", kind="swift")
    with pytest.raises(StoreError, match="lets nobody in: HTTP 401"):
        open_store(wrong).get("x")


def test_a_container_that_is_missing_is_no_object_that_is_missing() -> None:
    server = Server(NoBucket)
    client = on(server)
    for act in (lambda: client.get("x"), lambda: list(client.names("x")), lambda: client.put("x", b"")):
        with pytest.raises(StoreError, match="has no container muster; make it first") as error:
            act()
        assert not isinstance(error.value, NotFound)
    server.shutdown()
