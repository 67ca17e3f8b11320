"""Who may see the pages of a cluster while `./muster ui` is open: whoever was given its address, nobody else.

Other users of this computer reach the same ports, and every page in the browser can send requests to them.
So each request shows a key: a port's own pass in the first address, from then on a cookie (which a browser
sends to all ports of 127.0.0.1). A request that another site's page makes is refused all the same.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import urlsplit

LOOPBACK = "127.0.0.1"
LOOKING = frozenset({"GET", "HEAD"})
NOT_PASSED = frozenset({"cookie", "set-cookie", "authorization"})
"""Headers of a browser's other pages, or for them."""
NOT_PASSED_BEGIN = "proxy-"


Headers = Mapping[str, str] | Message


class Refused(Exception):
    """A request is not let through. Fields: HTTP's `status`, and `why`."""

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        self.why = why
        super().__init__(why)


@dataclass(frozen=True)
class Entry:
    """A request that is let through, for `path`; with `cookie`, the browser is to come again with that."""

    path: str
    cookie: str = ""


@dataclass(frozen=True)
class Gate:
    """The keys of one session.

    Args:
        write: also requests that change something are let through.
    """

    write: bool = False
    _key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    _name: str = field(default_factory=lambda: f"muster-{secrets.token_hex(4)}")

    def pass_of(self, port: int) -> str:
        """Return what opens one local port, as the first part of a path."""
        return hmac.new(self._key.encode(), str(port).encode(), hashlib.sha256).hexdigest()[:32]

    def enter(
        self,
        method: str,
        path: str,
        headers: Headers,
        port: int,
        ours: Callable[[int], bool],
        *,
        asks: bool = False,
    ) -> Entry:
        """Look at a request to a local port.

        Args:
            method: of HTTP.
            path: with its query, as it came.
            headers: as they came; found by name, whatever its case.
            port: the local one.
            ours: says whether a local port is one of this session's.
            asks: whether it changes nothing, whatever its method.

        Raises:
            Refused: it is not let through.
        """
        if headers.get("Host", "") != f"{LOOPBACK}:{port}":  # a foreign name that leads to this computer
            raise Refused(403, "Open this page by its own address")
        first, _, rest = path.removeprefix("/").partition("/")
        shown = hmac.compare_digest(first.encode(), self.pass_of(port).encode())
        if shown and method in LOOKING and headers.get("Sec-Fetch-Mode", "navigate") == "navigate":
            return Entry(f"/{rest}", f"{self._name}={self._key}; Path=/; HttpOnly; SameSite=Strict")
        if not shown and not self._has_cookie(headers.get("Cookie", "")):
            raise Refused(403, "Open the address that ./muster ui has printed")
        if _is_foreign(headers, ours):
            raise Refused(403, "Another page has asked for this one")
        if method not in LOOKING and not asks and not self.write:
            raise Refused(405, "These pages are for looking; ./muster ui --write lets changes through")
        return Entry(f"/{rest}" if shown else path)

    def _has_cookie(self, header: str) -> bool:
        """Say whether our cookie is among those that the browser has for this computer."""
        known = dict(part.strip().partition("=")[::2] for part in header.split(";"))
        return hmac.compare_digest(known.get(self._name, "").encode(), self._key.encode())


def passes(header: str) -> bool:
    """Say whether a header of a request or an answer may go across."""
    name = header.lower()
    return name not in NOT_PASSED and not name.startswith(NOT_PASSED_BEGIN)


def _is_foreign(headers: Headers, ours: Callable[[int], bool]) -> bool:
    """Say whether a page that is not one of ours has caused a request; who does not say counts as foreign."""
    asking = [_port_of(headers[name]) for name in ("Origin", "Referer") if headers.get(name)]
    if not all(ours(port) for port in asking):
        return True
    site = headers.get("Sec-Fetch-Site")
    if site == "same-site":  # another port of this computer, which need not be one of ours
        return not asking
    return site not in (None, "same-origin", "none")


def _port_of(address: str) -> int:
    """Return the port of an address of this computer, else 0."""
    with suppress(ValueError):
        url = urlsplit(address)
        if url.scheme == "http" and url.hostname == LOOPBACK:
            return url.port or 0
    return 0
