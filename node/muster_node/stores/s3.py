"""A small object-store client on the standard library: what staging and preprocessing need, on every node.

It signs requests (AWS Signature Version 4), keeps connections open, and retries what may be retried. One
client is used by one thread. `client()` gives the one that the settings ask for.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SETTINGS = Path("/etc/muster/store.json")
# What muster-role-credentials has fetched, where the machine's own role may use the store.
ROLE = "store-role.json"
# Seconds to wait after each failed attempt; the last one is not waited after.
PAUSES_S = (0.2, 0.8, 3.2, 0)
CHUNK = 1 << 20
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class StoreError(Exception):
    """The object store refused a request or does not answer; the text is one line."""


class NotFound(StoreError):
    """There is no such object."""


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


def client(settings: Settings) -> Client:
    """Return a client of the settings' kind of store: S3, or Swift's own protocol."""
    if settings.kind == "swift":
        from muster_swift import SwiftClient  # only where it is needed: it builds on this file

        return SwiftClient(settings)
    return Client(settings)


def signature(settings: Settings, method: str, path: str, query: str, headers: dict[str, str]) -> str:
    """Return the Authorization header; `headers` has host, x-amz-date and x-amz-content-sha256."""
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = "\n".join([method, path, query, lines, names, headers["x-amz-content-sha256"]])
    moment = headers["x-amz-date"]
    scope = f"{moment[:8]}/{settings.region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{settings.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    sign = hmac.digest(key, text.encode(), "sha256").hex()
    return (
        f"AWS4-HMAC-SHA256 Credential={settings.access_key}/{scope}, SignedHeaders={names}, Signature={sign}"
    )


def _quote(text: str, safe: str = "") -> str:
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


class Client:
    """Objects of one container."""

    def __init__(self, settings: Settings, timeout_s: float = 60) -> None:
        self.settings = settings
        self._timeout_s = timeout_s
        self._url = urllib.parse.urlsplit(settings.endpoint)
        self._host = f"{settings.container}.{self._url.netloc}" if settings.virtual_host else self._url.netloc
        self._connection: http.client.HTTPConnection | None = None

    def get(self, key: str) -> bytes:
        """Return an object's content. Raises NotFound, StoreError."""
        return self._send("GET", key)

    def download(self, key: str, target: IO[bytes]) -> str:
        """Write an object's content to `target` and return its SHA-256. Raises NotFound, StoreError."""
        failure: Exception | None = None
        for pause_s in PAUSES_S:
            target.seek(0)
            target.truncate()
            digest = hashlib.sha256()
            try:
                answer = self._request("GET", key, {}, b"")
                self._check(answer, key)
                while block := answer.read(CHUNK):
                    digest.update(block)
                    target.write(block)
                if answer.length:
                    raise http.client.IncompleteRead(b"", answer.length)
            except (OSError, http.client.HTTPException, _Busy) as error:
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

    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        """List objects whose key starts with `prefix`: (key, bytes), in order. Raises StoreError."""
        query, token = {"list-type": "2", "prefix": prefix}, ""
        while True:
            text = self._send("GET", "", query={**query, **({"continuation-token": token} if token else {})})
            root = ElementTree.fromstring(text)  # noqa: S314  the answer of our own store
            space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
            for item in root.iter(f"{space}Contents"):
                yield item.findtext(f"{space}Key") or "", int(item.findtext(f"{space}Size") or 0)
            token = root.findtext(f"{space}NextContinuationToken") or ""
            if not token:
                return

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None

    def _send(self, method: str, key: str, query: dict[str, str] | None = None, body: bytes = b"") -> bytes:
        failure: Exception | None = None
        for pause_s in PAUSES_S:
            try:
                answer = self._request(method, key, query or {}, body)
                self._check(answer, key)
                return answer.read()
            except (OSError, http.client.HTTPException, _Busy) as error:
                failure = error
                self.close()
                time.sleep(pause_s)
        raise self._gone(failure)

    def _request(self, method: str, key: str, query: dict[str, str], body: bytes) -> http.client.HTTPResponse:
        place = self._url.path.rstrip("/") + (
            "" if self.settings.virtual_host else f"/{self.settings.container}"
        )
        path = _quote(f"{place}/{key}" if key else place or "/", safe="/")
        text = "&".join(f"{_quote(name)}={_quote(value)}" for name, value in sorted(query.items()))
        headers = {
            "host": self._host,
            "x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256,
        }
        if self.settings.session_token:
            headers["x-amz-security-token"] = self.settings.session_token
        headers["Authorization"] = signature(self.settings, method, path, text, headers)
        return self._answer(method, f"{path}?{text}" if text else path, headers, body)

    def _answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> http.client.HTTPResponse:
        """Send a request over the open connection, or over a new one."""
        if self._connection is None:
            self._connection = connect(self._url.scheme, self._host, self._timeout_s)
        self._connection.request(method, target, body=body or None, headers=headers)
        return self._connection.getresponse()

    def _check(self, answer: http.client.HTTPResponse, key: str) -> None:
        if answer.status in (200, 201, 204, 206):
            return
        text = answer.read()[:2000].decode(errors="replace")
        code = text.partition("<Code>")[2].partition("</Code>")[0] or answer.reason
        if answer.status == 404 and key and code != "NoSuchBucket":
            raise NotFound(f"the object store has no {key}")
        if answer.status == 404:
            raise self._no_container()
        if answer.status >= 500 or answer.status == 429:
            raise _Busy(f"HTTP {answer.status} for {key}")
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


class _Busy(Exception):
    """The store answered that it cannot answer now."""
