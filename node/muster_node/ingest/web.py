"""What is fetched from the web: tried again with growing pauses, and never from where a node is trusted."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

AGAIN = (429, 500, 502, 503, 504)
"""What a server says that may answer later."""
TRIES = 6
CONNECTS = 2
"""Tries of a connection after the first: hosts that are no more are many in old lists."""
BACKOFF_S = 0.5
LONGEST_PAUSE_S = 120
"""What a server asks for with Retry-After is waited for up to this."""
TIMEOUTS_S = (15.0, 60.0)
"""For a connection, and between two blocks of an answer."""
BLOCK = 1 << 18
PATIENCE_S = 60
SLOWEST = 16 << 10
"""Bytes a second that must have come once PATIENCE_S are over."""
METADATA = frozenset((ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")))
"""Where clouds tell a machine its secrets, beside the link-local address of them all."""
BROKEN = (RequestException, HTTPError, OSError, ValueError)
"""What a connection raises that breaks, or is refused; ValueError: an address, of a redirect too, is none."""
WORDS: tuple[tuple[type[Exception], str], ...] = (
    (requests.TooManyRedirects, "it is led on and on"),
    (ValueError, "it is no http(s) address, or leads to something else"),
    (requests.exceptions.SSLError, "its certificate is not trusted"),
    (requests.Timeout, "no answer in time"),
)
AGENT = "muster-ingest"
ENVIRONMENT = Path("/etc/environment")
_PROXY = re.compile(r"((?:https?|no)_proxy)=\"?([^\"\n]*)\"?", re.IGNORECASE)
TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
"""The certificates that the node trusts: a company's own among them."""


class Unfetched(Exception):
    """An address gave nothing; the text says why in a few words. `lasting`: asking again is of no use."""

    def __init__(self, why: str, *, lasting: bool) -> None:
        super().__init__(why)
        self.lasting = lasting


class Forbidden(ValueError):
    """An address that leads to the node itself, or to where clouds tell machines their secrets."""


def require_elsewhere(url: str) -> None:
    """Raise Forbidden when an address leads to the machine itself or its neighbours on the link."""
    host = urlsplit(url).hostname or ""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return  # the connection will say so, or a proxy knows the name
    for text in found:
        _require_public(str(text))


def _require_public(text: str) -> None:
    address = ipaddress.ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    local = address.is_loopback or address.is_link_local or address.is_unspecified
    if local or address.is_multicast or address in METADATA:
        raise Forbidden(f"it leads to {address}, which is no place of the web")


def _looked_at(kind: type[Any], own: frozenset[str]) -> type[Any]:
    """Return connections that look at where they led: a name may mean another address the second time."""

    class LookedAt(kind):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            made: socket.socket = super()._new_conn()
            try:
                if self.host not in own:
                    _require_public(made.getpeername()[0])
            except Forbidden:
                made.close()
                raise
            return made

    return LookedAt


class _Guarded(HTTPAdapter):
    """Looks at every address before it is asked, those of redirects too, and at where it then led."""

    def __init__(self, own: frozenset[str], connections: int) -> None:
        self._own = own
        retry = Retry(
            total=TRIES, connect=CONNECTS, backoff_factor=BACKOFF_S, backoff_jitter=BACKOFF_S,
            status_forcelist=AGAIN, raise_on_status=False, retry_after_max=LONGEST_PAUSE_S,
        )  # fmt: skip
        super().__init__(max_retries=retry, pool_maxsize=connections)

        class Plain(HTTPConnectionPool):
            ConnectionCls = _looked_at(HTTPConnection, own)

        class Encrypted(HTTPSConnectionPool):
            ConnectionCls = _looked_at(HTTPSConnection, own)

        self.poolmanager.pool_classes_by_scheme = {"http": Plain, "https": Encrypted}

    def send(self, request: requests.PreparedRequest, *args: Any, **keys: Any) -> requests.Response:  # noqa: ANN401
        """See HTTPAdapter.send. Raises Forbidden too."""
        if urlsplit(request.url or "").hostname not in self._own:
            require_elsewhere(request.url or "")
        return super().send(request, *args, **keys)


def session(own: frozenset[str], connections: int = 1) -> requests.Session:
    """Return a session that tries again, obeys Retry-After, and goes nowhere it must not.

    Args:
        own: hosts that the user has named, which may be anywhere.
        connections: that are kept open.
    """
    _take_proxies()
    made = requests.Session()
    adapter = _Guarded(own, connections)
    made.mount("http://", adapter)
    made.mount("https://", adapter)
    made.headers.update({"Accept-Encoding": "identity", "User-Agent": AGENT})
    made.max_redirects = 5
    if TRUSTED.exists():
        made.verify = str(TRUSTED)
    return made


def _take_proxies() -> None:
    """Go through the proxy that the node was told of: a job's environment does not have it."""
    with suppress(OSError):
        for line in ENVIRONMENT.read_text().splitlines():
            if match := _PROXY.fullmatch(line):
                os.environ.setdefault(match[1], match[2])


def whole(asked: requests.Session, url: str, most_bytes: int) -> bytes:
    """Return what an address gives. Raises Unfetched."""
    failure: Exception | None = None
    for _ in range(3):  # what breaks off in the middle; all else is tried again below
        began, answered = time.monotonic(), False
        try:
            with asked.get(url, stream=True, timeout=TIMEOUTS_S) as answer:
                answered = True
                if answer.status_code != requests.codes.ok:
                    raise Unfetched(
                        f"HTTP {answer.status_code} {answer.reason}".strip(),
                        lasting=answer.status_code not in AGAIN,
                    )
                content = bytearray()
                while block := answer.raw.read1(BLOCK, decode_content=True):
                    content += block
                    waited = time.monotonic() - began
                    if waited > PATIENCE_S and len(content) < SLOWEST * waited:
                        raise Unfetched("it comes too slowly", lasting=True)
                    if len(content) > most_bytes:
                        raise Unfetched(f"more than {most_bytes >> 20} MiB", lasting=True)
                return bytes(content)
        except BROKEN as error:
            failure = error
            if wrong(error) or not answered:
                break
    raise Unfetched(why(failure), lasting=wrong(failure)) from failure


def wrong(error: Exception | None) -> bool:
    """Whether it is the address that is wrong, not the moment."""
    return isinstance(error, ValueError | requests.TooManyRedirects)


def why(error: Exception | None) -> str:
    """Return in a few words what happened; no address, which may hold a secret."""
    if isinstance(error, Forbidden):
        return str(error)
    if "NameResolution" in str(error) or "Name or service" in str(error):
        return "there is no such host"
    if "refused" in str(error):
        return "the connection is refused"
    return next((text for kind, text in WORDS if isinstance(error, kind)), "the connection breaks off")
