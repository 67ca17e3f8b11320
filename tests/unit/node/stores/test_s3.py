"""S3 in its forms, and a machine's own role."""

from __future__ import annotations

import grp
import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from io import BytesIO

import pytest
from botocore.session import Session

from muster_node import role_credentials
from muster_node.stores.base import NotFound, Settings, Store, StoreError
from muster_node.stores.open import open_store
from tests.fakes.servers import NoBucket, Server, StoreHandler

CONTENT = bytes(12 << 20) + bytes(range(250)) * 10
PART = 5 << 20
"""S3 takes no smaller parts."""


@pytest.fixture
def s3() -> Iterator[Server]:
    server = Server(StoreHandler)
    yield server
    server.shutdown()


def test_listing_goes_through_all_pages(s3: Server) -> None:
    s3.files = {f"/muster/set/{number}": b"x" * number for number in range(7)}
    assert list(on(s3).names("set/")) == [(f"set/{number}", number) for number in range(7)]


def on(server: Server) -> Store:
    return open_store(Settings(server.url, "key", "secret", "muster"))


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


def test_a_machines_own_role_opens_the_store(tmp_path, capsys, monkeypatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    server = Server(Metadata)
    target, group = tmp_path / "store-role.json", grp.getgrgid(os.getgid()).gr_name
    (tmp_path / "store.json").write_text(
        json.dumps({"endpoint": "https://x", "container": "c", "access_key": "", "secret_key": ""})
    )
    assert role_credentials.main(server.url, target, group) == 0
    known = Settings.load(tmp_path / "store.json")
    assert (known.access_key, known.secret_key, known.session_token) == ("AKIA", "s", "t")
    assert target.stat().st_mode & 0o777 == 0o640
    profile = tmp_path / "store.credentials"
    found = Session(session_vars={"credentials_file": (None, None, str(profile), None)}).get_credentials()
    assert (found.access_key, found.secret_key, found.token) == ("AKIA", "s", "t"), (
        "Amazon's tools read it, too"
    )
    assert profile.stat().st_mode & 0o777 == 0o640
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


def test_s3_takes_a_large_object_in_parts(s3: Server) -> None:
    on(s3).upload("results/model", BytesIO(CONTENT), len(CONTENT), PART)
    assert s3.files == {"/muster/results/model": CONTENT}
    assert sum("partNumber" in request for request in s3.requests) == 3


def test_parts_that_cannot_be_put_together_are_taken_back(s3: Server) -> None:
    client = on(s3)
    with pytest.raises(OSError, match=f"it ended after {len(CONTENT)} of {len(CONTENT) + 1000} bytes"):
        client.upload("results/model", BytesIO(CONTENT), len(CONTENT) + 1000, PART)
    assert (s3.files, s3.parts) == ({}, {})
    s3.broken_upload = True
    with pytest.raises(StoreError, match="does not answer .HTTP 500 InternalError.$"):
        client.upload("results/model", BytesIO(CONTENT), len(CONTENT), PART)
    assert (s3.files, s3.parts) == ({}, {})


def test_a_container_that_is_missing_is_no_object_that_is_missing() -> None:
    server = Server(NoBucket)
    client = on(server)
    for act in (lambda: client.get("x"), lambda: list(client.names("x")), lambda: client.put("x", b"")):
        with pytest.raises(StoreError, match="has no container muster; make it first") as error:
            act()
        assert not isinstance(error.value, NotFound)
    server.shutdown()


class Wavering(StoreHandler):
    """Breaks off after a mebibyte of what it sends, `breaks` times; then it goes on."""

    breaks = 3

    def send_object(self, content: bytes) -> None:
        start = int(self.headers.get("Range", "bytes=0-").partition("=")[2].partition("-")[0])
        cut = content[start:]
        whole = type(self).breaks <= 0
        type(self).breaks -= 1
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(cut)))
        self.send_header("ETag", '"tag"')
        self.end_headers()
        self.wfile.write(cut if whole else cut[: 1 << 20])
        self.close_connection = True
        self.server.folders.add(f"{start} {self.headers.get('If-Match')}")


def test_a_download_goes_on_where_it_broke_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster_node.stores.reading.PAUSES_S", (0.01, 0.01))
    monkeypatch.setattr(Wavering, "breaks", 3)
    server = Server(Wavering)
    server.files["/muster/x"] = CONTENT
    with on(server).open("x") as stream:
        assert stream.read() == CONTENT
    assert f'{3 << 20} "tag"' in server.folders, "of the same object, from where it was"
    monkeypatch.setattr(Wavering, "breaks", 1 << 20)
    server.files["/muster/x"] = b""
    monkeypatch.setattr(Wavering, "send_object", lambda self, _: self.answer_short())
    monkeypatch.setattr(Wavering, "answer_short", _nothing, raising=False)
    with pytest.raises(StoreError, match="does not answer"):
        on(server).get("x")
    server.shutdown()


def _nothing(self: Wavering) -> None:
    self.send_response(200)
    self.send_header("Content-Length", "10")
    self.end_headers()
    self.close_connection = True
