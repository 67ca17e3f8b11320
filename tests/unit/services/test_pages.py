from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from provision.services.gate import Gate
from provision.services.pages import DATANODE, HISTORY, MASTER, NAMENODE, TRACKING, WORKER, Pages

PAGE = (
    b'<a href="http://pond-worker-1:9864/x">w</a> "infoAddr":"10.0.0.3:9864" '
    b"spark://pond-master:7077 pond-worker-1:9866"
)


SCRIPT = b"let a = 1;\n" * 100_000


class Channel:
    """Closes as paramiko's channels do: at once, whoever still reads."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.makefile, self.sendall = connected.makefile, connected.sendall
        self.settimeout = connected.settimeout

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Remote(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/headers":
            body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Set-Cookie", "session=1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        if self.path == "/moved":
            self.send_response(307)
            self.send_header("Location", "http://pond-worker-1:9864/webhdfs/v1/a?namenode=pond-master:8020")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = {"/": PAGE, "/script": SCRIPT}.get(self.path.partition("?")[0], b"\xff\x00" * 100_000)
        kinds = {"/": "text/html", "/script": "text/javascript"}
        self.send_response(200)
        self.send_header("Content-Type", kinds.get(self.path.partition("?")[0], "application/octet-stream"))
        self.send_header("X-Host", self.headers["Host"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        self.wfile.write(body[::-1])


@pytest.fixture
def pages() -> Iterator[Pages]:
    remote = ThreadingHTTPServer(("127.0.0.1", 0), Remote)
    threading.Thread(target=remote.serve_forever, daemon=True).start()

    def dial(node: str, port: int) -> Channel:
        if port == HISTORY:
            raise OSError("refused")
        return Channel(socket.create_connection(remote.server_address[:2]))

    nodes = {"pond-master": "10.0.0.2", "pond-worker-1": "10.0.0.3"}
    made = Pages(nodes, dial, Gate(write=True), {7860: "Basic ours", TRACKING: "Basic jobs"})
    yield made
    made.close()
    remote.shutdown()
    remote.server_close()


@pytest.fixture
def cookie(pages: Pages) -> str:
    """What a browser sends that was at the first address."""
    first = urlsplit(pages.entrance("pond-master", NAMENODE))
    response = ask(first.netloc, first.path)
    assert (response.status, response.headers["Location"]) == (303, f"http://{first.netloc}/")
    return response.headers["Set-Cookie"].partition(";")[0]


def ask(
    address: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request(method, path, body=body, headers=headers)
    return connection.getresponse()


def test_links_between_pages_become_local_and_only_those(pages: Pages, cookie: str) -> None:
    namenode = pages.local("pond-master", NAMENODE)
    response = ask(namenode, "/", Cookie=cookie)
    text = response.read().decode()
    worker = pages.local("pond-worker-1", DATANODE)
    assert text == (
        f'<a href="http://{worker}/x">w</a> "infoAddr":"{worker}" spark://pond-master:7077 pond-worker-1:9866'
    )
    assert response.headers["X-Host"] == "pond-master:9870"
    assert ask(worker, "/", Cookie=cookie).status == 200


def test_redirects_are_followed_locally(pages: Pages, cookie: str) -> None:
    response = ask(pages.local("pond-master", NAMENODE), "/moved", Cookie=cookie)
    worker = pages.local("pond-worker-1", DATANODE)
    assert response.status == 307
    assert response.headers["Location"] == f"http://{worker}/webhdfs/v1/a?namenode=pond-master:8020"


def test_downloads_and_uploads_pass_unchanged(pages: Pages, cookie: str) -> None:
    address = pages.local("pond-master", NAMENODE)
    assert ask(address, "/file", Cookie=cookie).read() == b"\xff\x00" * 100_000
    assert ask(address, "/file", "PUT", b"abc", Cookie=cookie).read() == b"cba"


def test_a_script_arrives_whole(pages: Pages, cookie: str) -> None:
    assert ask(pages.local("pond-master", MASTER), "/script", Cookie=cookie).read() == SCRIPT


def test_the_same_page_has_one_port_and_a_taken_one_is_avoided(pages: Pages) -> None:
    master, worker = pages.local("pond-master", WORKER), pages.local("pond-worker-1", WORKER)
    assert master == pages.local("pond-master", WORKER)
    assert master != worker


def test_a_foreign_page_is_refused(pages: Pages, cookie: str) -> None:
    namenode = pages.local("pond-master", NAMENODE)
    assert ask(namenode, "/", Cookie=cookie, Host="evil.example").status == 403
    assert ask(namenode, "/", Cookie=cookie, **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert ask(namenode, "/").status == 403


def test_a_page_that_does_not_answer_is_said(pages: Pages, cookie: str) -> None:
    assert ask(pages.local("pond-master", HISTORY), "/", Cookie=cookie).status == 502


def test_cookies_and_passwords_stay_on_their_side(pages: Pages, cookie: str) -> None:
    secret = {"Authorization": "Basic x", "Proxy-Authorization": "Basic y", "Accept": "a/b"}
    response = ask(pages.local("pond-worker-1", 4040), "/headers", Cookie=f"{cookie}; jupyter=1", **secret)
    assert response.headers["Set-Cookie"] is None
    came = json.loads(response.read())
    assert came["accept"] == "a/b"
    assert not {"cookie", "authorization", "proxy-authorization"} & set(came)


def test_a_page_with_a_login_of_its_own_gets_ours_and_no_other_does(pages: Pages, cookie: str) -> None:
    response = ask(pages.local("127.0.0.1", 7860), "/headers", Cookie=cookie, Authorization="Basic theirs")
    assert json.loads(response.read())["authorization"] == "Basic ours"


def test_who_says_not_how_much_is_sent_is_told_to(pages: Pages, cookie: str) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    response = ask(pages.local("pond-master", NAMENODE), "/x", "PUT", b"0\r\n\r\n", Cookie=cookie, **headers)
    assert response.status == 411


def test_mlflow_is_shown_logged_in_whatever_the_browser_has(pages: Pages, cookie: str) -> None:
    for given in ({}, {"Authorization": "Basic browser"}):
        response = ask(pages.local("pond-master", TRACKING), "/headers", Cookie=cookie, **given)
        assert json.loads(response.read())["authorization"] == "Basic jobs"


@pytest.mark.parametrize(
    ("path", "passes"),
    [
        ("/ajax-api/2.0/mlflow/runs/search", True),
        ("/ajax-api/2.0/mlflow/experiments/search-datasets?x=1", True),
        ("/graphql", True),
        ("/ajax-api/2.0/mlflow/runs/delete", False),
        ("/ajax-api/2.0/mlflow/runs/delete?x=/runs/search", False),
        ("/ajax-api/2.0/mlflow/experiments/create", False),
        ("/api/2.0/mlflow/runs/search", False),
    ],
)
def test_mlflows_questions_pass_although_they_are_posts(path: str, passes: bool) -> None:
    gate = Gate()
    pages = Pages({"pond-master": "10.0.0.2"}, refuse, gate)
    first = urlsplit(pages.entrance("pond-master", TRACKING))
    known = ask(first.netloc, first.path).headers["Set-Cookie"].partition(";")[0]
    answer = ask(first.netloc, path, "POST", b"{}", Cookie=known)
    assert answer.status == (502 if passes else 405)
    other = urlsplit(pages.entrance("pond-master", MASTER))
    assert ask(other.netloc, path, "POST", b"{}", Cookie=known).status == 405
    assert ask(first.netloc, path, "POST", b"{}").status == 403
    pages.close()


def refuse(node: str, port: int) -> Channel:
    raise OSError("nobody there")


def test_where_a_file_is_can_be_fetched_without_a_cookie(pages: Pages, cookie: str) -> None:
    """HDFS's file browser asks the NameNode, then the DataNode that it names, as a page of another origin."""
    namenode = pages.local("pond-master", NAMENODE)
    text = ask(namenode, "/?noredirect=true", Cookie=cookie).read().decode()
    found = re.search(r'href="(http://[^"]*)"', text)
    assert found
    place = urlsplit(found[1])
    assert place.netloc == pages.local("pond-worker-1", DATANODE)
    asks = {"Origin": f"http://{namenode}", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
    assert ask(place.netloc, place.path, **asks).status == 200
    assert ask(place.netloc, place.path.rpartition("/")[2], **asks).status != 200
