"""This computer's own address: asked of a real service on loopback that answers as networks do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from provision.config.load import load_config
from provision.core.errors import ConfigError, NotReady
from provision.providers.address import own_address

ANSWERS = {
    "/one": b"192.0.2.10\n",
    "/two": b"192.0.2.10, 198.51.100.7\n",
    "/six": b"2001:db8::17\n",
    "/portal": b"<!DOCTYPE html><html><body>Please sign in</body></html>",
    "/long": b"9" * 5_000_000,
    "/empty": b"",
}


class Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", f"http://0.0.0.0:{self.server.server_address[1]}/one")
            self.end_headers()
            return
        known = self.path in ANSWERS
        self.send_response(200 if known else 503, "OK" if known else "<b>sign in</b>")
        self.end_headers()
        self.wfile.write(ANSWERS.get(self.path, b""))

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_one_address(service: str) -> None:
    assert own_address(f"{service}/one") == "192.0.2.10"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("two", "it tells 2 addresses: 192.0.2.10, 198.51.100.7"),
        ("six", "it tells the IPv6 address 2001:db8::17"),
        ("portal", "it tells a web page"),
        ("long", "it tells something that is no address"),
        ("empty", "it tells nothing"),
        ("nothing", "it answers with status 503"),
        ("elsewhere", "it tells a place without https to ask instead"),
    ],
)
def test_anything_else_is_named_in_one_line(service: str, path: str, words: str) -> None:
    with pytest.raises(NotReady) as caught:
        own_address(f"{service}/{path}")
    said = str(caught.value)
    assert words in said and said.endswith("Say who may log in with allow_from, for example [203.0.113.7/32]")
    assert "<" not in said and "\n" not in said and len(said) < 300


def test_a_service_that_does_not_speak_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            link, _ = listening.accept()
            with link:
                link.recv(100)
                link.sendall(b"SSH-2.0-\x1b[31mx\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(NotReady, match="its answer is no HTTP"):
            own_address(f"http://127.0.0.1:{listening.getsockname()[1]}/")


def test_nobody_there() -> None:
    with pytest.raises(NotReady, match="Connection refused"):
        own_address("http://127.0.0.1:9/")


@pytest.mark.parametrize("provider", ["ec2", "softlayer"])
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://checkip.amazonaws.com", "can be answered by anybody on the way.*https"),
        ("http://127.0.0.1.example.org/", "can be answered by anybody on the way"),
        ("ftp://127.0.0.1/", "can be answered by anybody on the way"),
        ("checkip", "is no URL"),
        ("https://checkip.example.org", ""),
        ("http://127.0.0.1:8765/one", ""),
        ("http://localhost/", ""),
        ("http://[::1]/", ""),
    ],
)  # fmt: skip
def test_who_reaches_ssh_is_not_for_anybody_on_the_way_to_say(
    tmp_path, provider: str, url: str, words: str
) -> None:
    file = tmp_path / "c.yml"
    file.write_text(
        f"plugin: cluster\ncluster: c\nprovider: local\n{provider}: {{address_service: '{url}'}}\n"
    )
    if words:
        with pytest.raises(ConfigError, match=words):
            load_config(file)
    else:
        load_config(file)
