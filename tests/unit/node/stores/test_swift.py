"""Swift's own protocol: tokens, Keystone, large objects of both kinds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from io import BytesIO

import pytest
from keystoneauth1 import fixture

from muster_node.stores import swift as module
from muster_node.stores.base import NotFound, Settings, Store, StoreError
from muster_node.stores.open import open_store
from tests.fakes.servers import Server, SwiftHandler

CONTENT = bytes(range(250)) * 10


@pytest.fixture
def swift(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
    server = Server(SwiftHandler)
    yield server
    server.shutdown()


def on(server: Server, **more: object) -> Store:
    known = {"endpoint": f"{server.url}/auth/v1.0", "access_key": "me:you", "secret_key": "secret"}
    return open_store(Settings(**{**known, "container": "muster", "kind": "swift", **more}))  # type: ignore[arg-type]


def test_a_token_whose_time_is_up_is_renewed(swift: Server) -> None:
    swift.token_serves = 3
    client = on(swift)
    for number in range(7):
        client.put(f"set/part {number}", b"x" * number)
    assert dict(client.names("set/")) == {f"set/part {n}": n for n in range(7)}
    assert sum(request.startswith("GET /auth") for request in swift.requests) > 2


def test_wrong_keys_are_one_line(swift: Server) -> None:
    with pytest.raises(StoreError, match=r"^the object store at \S+ lets nobody in: HTTP 401$"):
        on(swift, secret_key="no").get("x")


def test_a_large_object_travels_in_segments(swift: Server) -> None:
    client = on(swift)
    client.upload("results/a model", BytesIO(CONTENT), len(CONTENT), 1000)
    assert sum("muster_segments/results/a model/" in path for path in swift.files) == 3
    swift.requests.clear()
    assert client.get("results/a model") == CONTENT
    assert len(swift.requests) == 5, "the object, its manifest, three segments"
    assert dict(client.names("results/")) == {"results/a model": 2500}
    client.remove(["results/a model"])
    assert [path for path in swift.files if path != "/v1/me/muster_segments"] == []


def test_what_could_not_be_put_together_is_taken_back(swift: Server) -> None:
    with pytest.raises(OSError, match="it ended after"):
        on(swift).upload("results/model", BytesIO(CONTENT), len(CONTENT) + 1000, 1000)
    assert [path for path in swift.files if path != "/v1/me/muster_segments"] == []


def test_a_dynamic_large_object_is_read_by_its_prefix(swift: Server) -> None:
    for number, start in enumerate(range(0, 2500, 600)):
        swift.files[f"/v1/me/other/größe #/{number:04d}"] = CONTENT[start : start + 600]
    swift.files["/v1/me/muster/set/large"] = b""
    swift.dynamic["/v1/me/muster/set/large"] = "other/größe #/"
    client = on(swift)
    assert client.download("set/large", BytesIO()) == hashlib.sha256(CONTENT).hexdigest()
    assert dict(client.names("set/")) == {"set/large": 2500}


@pytest.mark.parametrize("kind", ["static", "dynamic", "plain"])
def test_a_damaged_segment_is_named(swift: Server, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    client = on(swift)
    client.upload("model", BytesIO(CONTENT), len(CONTENT), 9999 if kind == "plain" else 1000)
    if kind == "dynamic":
        swift.folders.clear()
        swift.dynamic["/v1/me/muster/model"] = "muster_segments/model/"
    damaged = "muster/model" if kind == "plain" else "muster_segments/model/00000001"
    honest = SwiftHandler.send_object

    def flipped(self: SwiftHandler, content: bytes) -> None:
        if self.parse_path() == f"/v1/me/{damaged}":
            told = hashlib.md5(content, usedforsecurity=False).hexdigest()
            self.answer(200, content[:-1] + b"?", etag=told)
        else:
            honest(self, content)

    monkeypatch.setattr(SwiftHandler, "send_object", flipped)
    with pytest.raises(StoreError, match=f"^{damaged} in the object store is damaged: its MD5 is not "):
        client.get("model")


def test_all_of_an_object_is_never_taken_for_a_range_of_it(
    swift: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = on(swift)
    client.put("x", CONTENT)
    monkeypatch.setattr(SwiftHandler, "send_object", lambda self, content: self.answer(200, content))
    assert client.get("x") == CONTENT
    with pytest.raises(StoreError, match="refuses x: it sends all of an object where a range is asked"):
        client.get_range("x", 10, 20)


class Keystone(SwiftHandler):
    """Version 3 of the identity service, with keystoneauth1's own documents, and the store it leads to."""

    def do_POST(self) -> None:  # noqa: N802  http.server calls it so
        identity = json.loads(self.body())["auth"]["identity"]
        self.server.requests.append(f"POST {self.path}")
        self.server.folders.add(json.dumps(identity, sort_keys=True))
        if "secret" not in json.dumps(identity):
            BaseHTTPRequestHandler.send_error(self, 401)
            return
        token = fixture.V3Token()
        token.set_project_scope()
        service = token.add_service("object-store")
        service.add_standard_endpoints(public="http://127.0.0.1:9/v1/other", region="far")
        service.add_standard_endpoints(public=f"{self.server.url}/v1/me", region="near")
        self.server.token_left = self.server.token_serves
        body = json.dumps(token).encode()
        self.send_response(201)
        self.send_header("X-Subject-Token", "tk")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def keystone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
    server = Server(Keystone)
    yield server
    server.shutdown()


@pytest.mark.parametrize("end", ["/v3", "", "/v3/"])
def test_keystone_lets_a_projects_user_in(keystone: Server, end: str) -> None:
    keystone.token_serves = 3
    client = on(
        keystone, endpoint=f"{keystone.url}{end}", auth_version=3, access_key="katie", project="retina",
        user_domain="people", region="near",
    )  # fmt: skip
    for number in range(5):
        client.put(f"set/{number}", b"x" * number)
    assert dict(client.names("set/")) == {f"set/{n}": n for n in range(5)}
    who = next(json.loads(each) for each in keystone.folders if "password" in each)["password"]["user"]
    assert who == {"name": "katie", "domain": {"name": "people"}, "password": "secret"}
    assert "POST /v3/auth/tokens" in keystone.requests


def test_keystone_lets_an_application_in(keystone: Server) -> None:
    client = on(keystone, endpoint=keystone.url, auth_version=3, access_key="0123abc", region="near")
    client.put("x", b"content")
    assert client.get("x") == b"content"
    (who,) = [json.loads(each) for each in keystone.folders if "application" in each]
    assert who["application_credential"] == {"id": "0123abc", "secret": "secret"}


def test_keystone_refuses_in_one_line(keystone: Server) -> None:
    wrong = {"endpoint": keystone.url, "auth_version": 3, "access_key": "katie", "project": "retina"}
    with pytest.raises(StoreError, match=r"^the object store at \S+ lets nobody in: HTTP 401$"):
        on(keystone, **wrong, secret_key="no", region="near").get("x")
    with pytest.raises(StoreError, match=r"^the object store at \S+ \S+") as error:
        on(keystone, **wrong, region="nowhere").get("x")
    assert "\n" not in str(error.value) and not isinstance(error.value, NotFound)
    with pytest.raises(StoreError, match="does not answer"):
        on(keystone, **{**wrong, "endpoint": "http://127.0.0.1:9"}).get("x")
