"""What clients of object stores have in common: settings, errors, a connection, retry, large objects."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

SETTINGS = Path("/etc/muster/store.json")
ROLE = "store-role.json"
"""Beside the settings: what muster-role-credentials has fetched, where the machine's role opens the store."""
RETRY_PAUSES_S = (0.2, 0.8, 3.2, 0)
"""Seconds to wait after each failed attempt; the last one is not waited after."""
CHUNK = 1 << 20
PART_BYTES = 32 << 20
"""More go in several requests: S3 and Swift take 5 GiB in one, but it is held in memory for a retry."""
MOST_PARTS = 1000
"""Swift takes so many segments of one object, S3 ten times as many."""


class StoreError(Exception):
    """The object store refused a request or does not answer; the text is one line."""


class NotFound(StoreError):
    """There is no such object."""


class Unavailable(Exception):
    """The store answered that it cannot answer now: worth a retry."""


@dataclass(frozen=True)
class Settings:
    """Where the store is and who asks.

    `endpoint` is a URL such as http://object-store:8080, of Swift the one that is asked for a token.
    `virtual_host`: the container is part of the host's name, as AWS wants it, else of the path.
    """

    endpoint: str
    access_key: str
    secret_key: str
    container: str
    region: str = "us-east-1"
    session_token: str = ""
    kind: str = "s3"
    virtual_host: bool = False

    @classmethod
    def load(cls, path: Path = SETTINGS) -> Settings:
        """Read the node's settings file, and its role's credentials. Raises StoreError when it cannot."""
        role = path.with_name(ROLE)
        try:
            known = json.loads(path.read_text())
            if not known["access_key"] and role.exists():
                known |= json.loads(role.read_text())
            return cls(**known)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{path}: {error}") from error


def part_length(size: int, part_bytes: int = PART_BYTES) -> int:
    """Return the bytes of each part that an object of about `size` bytes is sent in."""
    return max(part_bytes, -(-size // MOST_PARTS))


class Store(ABC):
    """Objects of one container. A client is used by one thread; its connection stays open."""

    def __init__(self, settings: Settings, timeout_s: float = 60) -> None:
        self.settings = settings
        self._timeout_s = timeout_s
        self._url = urllib.parse.urlsplit(settings.endpoint)
        self._host = self._url.netloc
        self._connection: http.client.HTTPConnection | None = None

    @abstractmethod
    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        """List objects whose key starts with `prefix`: (key, bytes), in order. Raises StoreError."""

    @abstractmethod
    def _request(
        self, method: str, key: str, query: Mapping[str, str], body: bytes, container: str
    ) -> http.client.HTTPResponse:
        """Send one request, let in as the protocol wants it. Raises OSError, HTTPException, StoreError."""

    @abstractmethod
    def _put_parts(self, key: str, parts: Iterator[bytes]) -> None:
        """Write an object in parts; it appears whole or not at all. Raises StoreError, OSError."""

    def get(self, key: str) -> bytes:
        """Return an object's content. Raises NotFound, StoreError."""
        return self._send("GET", key)[0]

    def download(self, key: str, target: IO[bytes]) -> str:
        """Write an object's content to `target` and return its SHA-256. Raises NotFound, StoreError."""
        failure: Exception | None = None
        for pause_s in RETRY_PAUSES_S:
            target.seek(0)
            target.truncate()
            digest = hashlib.sha256()
            try:
                answer = self._request("GET", key, {}, b"", "")
                self._check(answer, key)
                while block := answer.read(CHUNK):
                    digest.update(block)
                    target.write(block)
                if answer.length:
                    raise http.client.IncompleteRead(b"", answer.length)
            except (OSError, http.client.HTTPException, Unavailable) as error:
                failure = error
                self.close()
                time.sleep(pause_s)
            else:
                return digest.hexdigest()
        raise self._gone(failure)

    def put(self, key: str, content: bytes) -> None:
        """Write an object. Raises StoreError."""
        try:
            self._send("PUT", key, body=content)
        except NotFound as error:  # Swift does not say that it is the container
            raise self._no_container() from error

    def upload(self, key: str, source: IO[bytes], size: int, part_bytes: int = PART_BYTES) -> None:
        """Write an object from all of a stream, a large one in parts. Raises StoreError, OSError.

        Args:
            key: the object's.
            source: its content.
            size: bytes that there are at least; a file that is still written may have more.
            part_bytes: what is larger goes in parts of this size.
        """
        parts = _parts(source, size, part_length(size, part_bytes))
        first = next(parts)
        second = next(parts, None)
        if second is None:
            self.put(key, first)
        else:
            self._put_parts(key, chain((first, second), parts))

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None

    def _send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        container: str = "",
    ) -> tuple[bytes, http.client.HTTPMessage]:
        """Send a request, with retry; return body and headers. `container` '' = that of the settings."""
        failure: Exception | None = None
        for pause_s in RETRY_PAUSES_S:
            try:
                answer = self._request(method, key, query or {}, body, container)
                self._check(answer, key)
                return answer.read(), answer.headers
            except (OSError, http.client.HTTPException, Unavailable) as error:
                failure = error
                self.close()
                time.sleep(pause_s)
        raise self._gone(failure)

    def _answer(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> http.client.HTTPResponse:
        """Send a request over the open connection, or over a new one."""
        if self._connection is None:
            self._connection = connect(self._url.scheme, self._host, self._timeout_s)
        self._connection.request(method, target, body=body or None, headers=dict(headers))
        return self._connection.getresponse()

    def _check(self, answer: http.client.HTTPResponse, key: str) -> None:
        if answer.status in (200, 201, 202, 204, 206):
            return
        text = answer.read()[:2000].decode(errors="replace")
        code = text.partition("<Code>")[2].partition("</Code>")[0] or answer.reason
        if answer.status == 404 and key and code != "NoSuchBucket":
            raise NotFound(f"the object store has no {key}")
        if answer.status == 404:
            raise self._no_container()
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable(f"HTTP {answer.status} for {key}")
        raise StoreError(
            f"the object store at {self.settings.endpoint} refuses {key or self.settings.container}: "
            f"HTTP {answer.status} {code}"
        )

    def _no_container(self) -> StoreError:
        return StoreError(
            f"the object store at {self.settings.endpoint} has no container {self.settings.container}; "
            "make it first"
        )

    def _gone(self, failure: Exception | None) -> StoreError:
        return StoreError(f"the object store at {self.settings.endpoint} does not answer ({failure})")


def quote(text: str, safe: str = "") -> str:
    """Quote as both protocols want it."""
    return urllib.parse.quote(text, safe=f"-_.~{safe}")


def connect(scheme: str, host: str, timeout_s: float) -> http.client.HTTPConnection:
    """Return a connection; an https one goes through the proxy that the environment names."""
    if scheme != "https":
        return http.client.HTTPConnection(host, timeout=timeout_s)
    proxy = urllib.parse.urlsplit(os.environ.get("https_proxy", ""))
    if not proxy.netloc or urllib.request.proxy_bypass(host):
        return http.client.HTTPSConnection(host, timeout=timeout_s)
    connection = http.client.HTTPSConnection(proxy.netloc, timeout=timeout_s)
    connection.set_tunnel(host)
    return connection


def _parts(source: IO[bytes], size: int, length: int) -> Iterator[bytes]:
    """Cut a stream into parts, at least one. Raises OSError when it ends before `size` bytes."""
    total = 0
    while True:
        part = bytearray()
        while len(part) < length and (block := source.read(length - len(part))):
            part += block
        total += len(part)
        ended = len(part) < length
        if ended and total < size:
            raise OSError(f"it ended after {total} of {size} bytes")
        if part or total == 0:
            yield bytes(part)
        if ended:
            return
