"""A container over Swift's own protocol, with a token from its auth service (version 1).

Large objects need no care when they are read: the server puts their segments together. Only a listing says
of a dynamic large object that it has 0 bytes, so it is asked for its size.
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import suppress

from muster_node.stores.base import Settings, Store, StoreError, connect, quote


class SwiftStore(Store):
    """See `Store`. `settings.access_key` is the user: `account:user`."""

    def __init__(self, settings: Settings, timeout_s: float = 60) -> None:
        super().__init__(settings, timeout_s)
        self._auth = self._url
        self._token = ""

    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Store.names`."""
        marker = ""
        while True:
            query = {"format": "json", "prefix": prefix, "marker": marker, "limit": "10000"}
            page = json.loads(self._send("GET", "", query)[0] or b"[]")
            for item in page:
                yield item["name"], item["bytes"] or self._size(item["name"])
            if not page:
                return
            marker = page[-1]["name"]

    def _size(self, key: str) -> int:
        """Return an object's whole size in bytes."""
        return int(self._send("HEAD", key)[1].get("Content-Length") or 0)

    def _put_parts(self, key: str, parts: Iterator[bytes]) -> None:
        """A static large object; its segments lie in `CONTAINER_segments`, as Swift's own tools have them."""
        segments = f"{self.settings.container}_segments"
        self._send("PUT", "", container=segments)
        manifest: list[dict[str, object]] = []
        try:
            for number, part in enumerate(parts):
                name = f"{key}/{number:08d}"
                tag = self._send("PUT", name, body=part, container=segments)[1].get("Etag", "")
                manifest.append(
                    {"path": f"{segments}/{name}", "size_bytes": len(part), "etag": tag.strip('"')}
                )
            self._send("PUT", key, {"multipart-manifest": "put"}, json.dumps(manifest).encode())
        except BaseException:
            for each in manifest:
                with suppress(StoreError):
                    self._send("DELETE", str(each["path"]).removeprefix(f"{segments}/"), container=segments)
            raise

    def _request(
        self, method: str, key: str, query: Mapping[str, str], body: bytes, container: str
    ) -> http.client.HTTPResponse:
        answer = self._with_token(method, key, query, body, container)
        if answer.status == http.HTTPStatus.UNAUTHORIZED:  # the token's time is up
            answer.read()
            self._token = ""
            answer = self._with_token(method, key, query, body, container)
        return answer

    def _with_token(
        self, method: str, key: str, query: Mapping[str, str], body: bytes, container: str
    ) -> http.client.HTTPResponse:
        if not self._token:
            self._log_in()
        place = f"/{container or self.settings.container}/{key}".rstrip("/")
        path = self._url.path.rstrip("/") + quote(place, safe="/")
        text = urllib.parse.urlencode(sorted(query.items()))
        return self._answer(method, f"{path}?{text}" if text else path, {"X-Auth-Token": self._token}, body)

    def _log_in(self) -> None:
        """Get a token and the address of the account. Raises StoreError, OSError."""
        connection = connect(self._auth.scheme, self._auth.netloc, self._timeout_s)
        try:
            known = {"X-Auth-User": self.settings.access_key, "X-Auth-Key": self.settings.secret_key}
            connection.request("GET", self._auth.path, headers=known)
            answer = connection.getresponse()
            answer.read()
            token, url = answer.headers.get("X-Auth-Token"), answer.headers.get("X-Storage-Url")
        finally:
            connection.close()
        if answer.status not in (200, 204) or not token or not url:
            raise StoreError(
                f"the object store at {self.settings.endpoint} lets nobody in: HTTP {answer.status}"
            )
        self.close()
        self._token, self._url = token, urllib.parse.urlsplit(url)
        self._host = self._url.netloc
