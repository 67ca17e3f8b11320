"""A container over Swift's own protocol (auth version 1), as the control machine uses it."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from provision.core.errors import StoreError
from provision.core.spec import ObjectStoreSpec
from provision.data.stores.base import StoredObject
from provision.data.stores.keys import StoreKeys

TIMEOUT_S = 60
SEGMENT = 1 << 30
"""Bytes of a part of a large object: a server takes 5 GiB in one piece."""


class SwiftStore:
    """See `store.ObjectStore`. Large files become static large objects; parts are in `CONTAINER_segments`."""

    def __init__(self, spec: ObjectStoreSpec, keys: StoreKeys) -> None:
        self._spec = spec
        self._keys = keys
        self._url = ""
        self._token = ""

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.objects`."""
        marker = ""
        while True:
            query = urllib.parse.urlencode({"format": "json", "prefix": prefix, "marker": marker})
            page = json.loads(self._ask("GET", self._spec.container, query=query)[0] or b"[]")
            for item in page:
                yield StoredObject(item["name"], item["bytes"] or self._size(item["name"]), item["hash"])
            if not page:
                return
            marker = page[-1]["name"]

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`."""
        return self._ask("GET", self._path(key))[0]

    def write(self, key: str, content: bytes | Path) -> None:
        """See `ObjectStore.write`."""
        if isinstance(content, bytes):
            self._ask("PUT", self._path(key), body=content)
        elif content.stat().st_size > SEGMENT:
            self._write_large(key, content)
        else:
            with content.open("rb") as source:
                self._ask("PUT", self._path(key), body=_Part(source, 0, content.stat().st_size))

    def remove(self, keys: Sequence[str]) -> None:
        """See `ObjectStore.remove`. The parts of large objects go with them."""
        for key in keys:
            large = "multipart-manifest=delete" if self._is_static_large(key) else ""
            self._ask("DELETE", self._path(key), query=large, missing_ok=True)

    def _write_large(self, key: str, content: Path) -> None:
        parts = f"{self._spec.container}_segments"
        self._ask("PUT", parts)
        size, manifest = content.stat().st_size, []
        with content.open("rb") as source:
            for number, start in enumerate(range(0, size, SEGMENT)):
                length = min(SEGMENT, size - start)
                piece = f"{parts}/{key}/{number:08d}"
                _, headers = self._ask("PUT", piece, body=_Part(source, start, length))
                manifest.append({"path": piece, "size_bytes": length, "etag": headers["Etag"].strip('"')})
        body = json.dumps(manifest).encode()
        self._ask("PUT", self._path(key), query="multipart-manifest=put", body=body)

    def _size(self, key: str) -> int:
        """Return a dynamic large object's size, of which a listing says 0."""
        return int(self._ask("HEAD", self._path(key))[1].get("Content-Length") or 0)

    def _is_static_large(self, key: str) -> bool:
        headers = self._ask("HEAD", self._path(key), missing_ok=True)[1]
        return headers.get("X-Static-Large-Object", "").lower() == "true"

    def _path(self, key: str) -> str:
        return f"{self._spec.container}/{key}"

    def _log_in(self) -> None:
        known = {"X-Auth-User": self._keys.access_key, "X-Auth-Key": self._keys.secret_key}
        request = urllib.request.Request(self._spec.endpoint, headers=known)  # noqa: S310  http(s): the config checks it
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            self._token, self._url = answer.headers["X-Auth-Token"], answer.headers["X-Storage-Url"]

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes | _Part | None = None,
        missing_ok: bool = False,
    ) -> tuple[bytes, Mapping[str, str]]:
        """Send a request; return the answer's body and headers. Raises StoreError."""
        try:
            for fresh in (not self._token, True):
                if fresh:
                    self._log_in()
                try:
                    return self._send(method, path, query, body)
                except urllib.error.HTTPError as error:
                    if error.code == 404 and missing_ok:
                        return b"", {}
                    if error.code != 401 or fresh:  # else the token's time is up
                        raise
            raise StoreError(what="the object store lets nobody in", where=self._spec.endpoint)
        except urllib.error.HTTPError as error:
            raise StoreError(
                what=f"the object store refuses {method} {path}: HTTP {error.code} {error.reason}",
                where=self._spec.endpoint,
                remedy="Run the same command again; what is there already is kept.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise StoreError(
                what=f"the object store does not answer: {error}", where=self._spec.endpoint
            ) from error

    def _send(
        self, method: str, path: str, query: str, body: bytes | _Part | None
    ) -> tuple[bytes, Mapping[str, str]]:
        url = f"{self._url}/{urllib.parse.quote(path)}" + (f"?{query}" if query else "")
        data: Any = b"" if body is None and method == "PUT" else body
        request = urllib.request.Request(url, data=data, method=method, headers={"X-Auth-Token": self._token})  # noqa: S310
        if isinstance(body, _Part):
            body.rewind()
            request.add_header("Content-Length", str(body.length))
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return answer.read(), dict(answer.headers)


class _Part:
    """Bytes of a file, from `start` on, as http.client reads them."""

    def __init__(self, source: IO[bytes], start: int, length: int) -> None:
        self._source = source
        self._start = start
        self._left = self.length = length

    def rewind(self) -> None:
        """Begin again."""
        self._source.seek(self._start)
        self._left = self.length

    def read(self, size: int = 65536) -> bytes:
        """Return at most `size` bytes, b'' at the part's end."""
        block = self._source.read(min(size, self._left))
        self._left -= len(block)
        return block
