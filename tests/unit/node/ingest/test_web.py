"""Where nodes go for what they fetch, and by which way."""

from __future__ import annotations

import os
import socket
import time

import pytest

from muster_node.ingest import web


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "[fe80::1]", "0",
             "[fd00:ec2::254]", "localhost", "0x7f000001", "2130706433"],
)  # fmt: skip
def test_places_where_a_node_is_trusted(host):
    with pytest.raises(web.Forbidden, match="no place of the web"):
        web.require_elsewhere(f"http://{host}/latest/meta-data")


@pytest.mark.parametrize("host", ["10.1.2.3", "192.0.2.7", "[2001:db8::1]", "no.such.host.invalid"])
def test_places_anywhere_else(host):
    web.require_elsewhere(f"http://{host}/x")


def test_a_name_that_means_another_address_the_second_time(server, monkeypatch):
    """A look at what a name means is no use where its owner may change that at once."""
    server.put("/secret", b"x")
    known, asked = socket.getaddrinfo, []

    def lookup(host, *rest, **more):
        asked.append(host)
        return known("192.0.2.7" if len(asked) == 1 else "127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(web.Unfetched, match=r"leads to 127\.0\.0\.1"):
        web.whole(web.session(frozenset()), f"http://evil.example:{server.server_address[1]}/secret", 100)
    assert server.asked == [] and len(asked) == 2


def test_a_host_that_is_gone_is_tried_few_times(monkeypatch):
    tried = []
    monkeypatch.setattr(web, "BACKOFF_S", 0)

    def connect(address, *_rest, **_more):
        tried.append(address)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    with pytest.raises(web.Unfetched, match="refused"):
        web.whole(web.session(frozenset()), "http://192.0.2.7/x", 100)
    assert len(tried) == 1 + web.CONNECTS


def test_a_server_that_drips(server, monkeypatch):
    monkeypatch.setattr(web, "PATIENCE_S", 0.3)
    monkeypatch.setattr("tests.fakes.web.BLOCK", 10)
    server.pause_s = 0.05
    place = server.put("/slow", bytes(10_000))[0]
    began = time.monotonic()
    with pytest.raises(web.Unfetched, match="too slowly"):
        web.whole(web.session(frozenset({"127.0.0.1"})), place, 1 << 20)
    assert time.monotonic() - began < 5, "at 200 bytes a second it is 50 s"


def test_the_nodes_own_proxy(tmp_path, monkeypatch):
    """Jobs do not have it in their environment."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "environment").write_text('http_proxy="http://10.0.0.1:3128"\nPATH="/bin"\nno_proxy="a,b"\n')
    monkeypatch.setattr(web, "ENVIRONMENT", tmp_path / "environment")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("https_proxy", "http://mine:1")
        web.session(frozenset())
        assert os.environ.pop("http_proxy") == "http://10.0.0.1:3128" and os.environ.pop("no_proxy") == "a,b"
        assert os.environ["https_proxy"] == "http://mine:1"
