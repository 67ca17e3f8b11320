"""A container over Swift's own protocol, by python-swiftclient; Keystone by keystoneauth1.

Large objects are read by their manifests, segment by segment, each compared with its etag. Their segments lie
in `CONTAINER_segments`, as Swift's own tools have them.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from itertools import chain
from typing import IO, Any

from muster_node.stores.base import (
    ATTEMPTS,
    AUTHORITIES,
    PART_BYTES,
    NotFound,
    Settings,
    Store,
    Stored,
    StoreError,
    part_length,
)
from muster_node.stores.reading import CHUNK, WHOLE, Answer, Broken, Whole, byte_range, parts, resumed

KEYSTONE = 3
STATIC, DYNAMIC = "x-static-large-object", "x-object-manifest"
"""Headers of large objects, whose segments a manifest names, or a prefix."""
PAUSE_S = 0.5
"""Before a second attempt; each further one waits twice as long."""
AUTH = "Auth "
"""How swiftclient's messages begin when the auth service refused."""
MD5 = re.compile("[0-9a-f]{32}")


class SwiftStore(Store):
    """See `Store`. Each thread has a connection of its own; with Keystone all share one token."""

    def __init__(self, settings: Settings, timeout_s: float = 60) -> None:
        super().__init__(settings)
        self._timeout_s = timeout_s
        self._trusted = str(AUTHORITIES) if AUTHORITIES.exists() else None
        self._session = self._keystone() if settings.auth_version == KEYSTONE else None
        self._segments = f"{settings.container}_segments"
        self._local = threading.local()

    def objects(self, prefix: str = "") -> Iterator[Stored]:
        """See `Store.objects`. A listing says of a dynamic large object that it has 0 bytes: it is asked."""
        for stored in self._listing(self.settings.container, prefix):
            yield stored if stored.bytes else self.head(stored.key)

    def head(self, key: str) -> Stored:
        """See `Store.head`."""
        known = self._headers(key)
        return Stored(key, int(known.get("content-length") or 0), known.get("etag", "").strip('"'))

    def blocks(self, key: str) -> Iterator[bytes]:
        """See `Store.blocks`."""
        return self._blocks(self.settings.container, key)

    def range_blocks(self, key: str, start: int, length: int) -> Iterator[bytes]:
        """See `Store.range_blocks`."""
        container = self.settings.container

        def rest(at: int, etag: str) -> Answer:
            return self._answer(container, key, byte_range(start + at, length - at), etag)[1]

        with self._translated(key):
            yield from resumed(rest(0, ""), rest)

    def put(self, key: str, content: bytes) -> None:
        """See `Store.put`."""
        self._put(self.settings.container, key, content)

    def upload(self, key: str, source: IO[bytes], size: int, part_bytes: int = PART_BYTES) -> None:
        """See `Store.upload`: a large one as a static large object. Two parts are in memory at a time."""
        pieces = parts(Whole(source, size), part_length(size, part_bytes))
        first = next(pieces)
        second = next(pieces, None)
        if second is None:
            self.put(key, first)
            return
        manifest: list[dict[str, object]] = []
        try:
            with self._translated(""):
                self._connection.put_container(self._segments)
            for number, piece in enumerate(chain((first, second), pieces)):
                name = f"{key}/{number:08d}"
                etag = self._put(self._segments, name, piece)
                manifest.append({"path": f"{self._segments}/{name}", "size_bytes": len(piece), "etag": etag})
            body = json.dumps(manifest).encode()
            self._put(self.settings.container, key, body, "multipart-manifest=put")
        except BaseException:
            for number in range(len(manifest)):
                with suppress(StoreError), self._translated(key):
                    self._connection.delete_object(self._segments, f"{key}/{number:08d}")
            raise

    def remove(self, keys: Iterable[str]) -> None:
        """See `Store.remove`. The segments of static large objects go with them."""
        for key in keys:
            with suppress(NotFound):
                large = self._headers(key).get(STATIC, "").lower() == "true"
                query = "multipart-manifest=delete" if large else None
                with self._translated(key):
                    self._connection.delete_object(self.settings.container, key, query_string=query)

    def _headers(self, key: str) -> Mapping[str, str]:
        with self._translated(key):
            known: dict[str, str] = self._connection.head_object(self.settings.container, key)
            return known

    def _listing(self, container: str, prefix: str) -> Iterator[Stored]:
        marker = ""
        while True:
            with self._translated(""):
                page = self._connection.get_container(container, prefix=prefix, marker=marker)[1]
            if not page:
                return
            for item in page:
                yield Stored(item["name"], item["bytes"], item["hash"])
            marker = page[-1]["name"]

    def _blocks(self, container: str, key: str, md5: str = "") -> Iterator[bytes]:
        """Yield an object or segment; `md5`: what its content must have, where a manifest says it."""
        with self._translated(key):
            headers, answer = self._answer(container, key)
            pieces = self._pieces(container, key, headers)
            if pieces is not None:
                answer.close()
                for piece in pieces:
                    yield from self._blocks(*piece)
                return
            large = STATIC in headers or DYNAMIC in headers
            wanted = md5 or ("" if large else answer.etag)
            digest = hashlib.md5(usedforsecurity=False)
            for block in resumed(
                answer, lambda at, etag: self._answer(container, key, byte_range(at), etag)[1]
            ):
                digest.update(block)
                yield block
        if MD5.fullmatch(wanted) and digest.hexdigest() != wanted:
            raise StoreError(f"{container}/{key} in the object store is damaged: its MD5 is not {wanted}")

    def _pieces(
        self, container: str, key: str, headers: Mapping[str, str]
    ) -> list[tuple[str, str, str]] | None:
        """Return a large object's segments: container, key, MD5. None: the server has to join them."""
        if DYNAMIC in headers:
            where, _, prefix = urllib.parse.unquote(headers[DYNAMIC]).partition("/")
            return [(where, stored.key, stored.etag) for stored in self._listing(where, prefix)]
        if headers.get(STATIC, "").lower() != "true":
            return None
        query = "multipart-manifest=get"
        manifest = json.loads(self._connection.get_object(container, key, query_string=query)[1])
        if any("range" in entry or "data" in entry for entry in manifest):
            return None
        found = []
        for entry in manifest:
            where, _, name = str(entry["name"]).lstrip("/").partition("/")
            found.append((where, name, "" if entry.get("sub_slo") else str(entry["hash"])))
        return found

    def _answer(
        self, container: str, key: str, wanted: str = "", etag: str = ""
    ) -> tuple[Mapping[str, str], Answer]:
        """Ask for an object, or for the range `wanted` of it; it must have `etag` ('' = any)."""
        from urllib3.exceptions import HTTPError

        asked = {"Range": wanted} if wanted else {}
        asked |= {"If-Match": etag} if etag else {}
        told: dict[str, Any] = {}
        headers, body = self._connection.get_object(
            container, key, resp_chunk_size=CHUNK, response_dict=told, headers=asked
        )
        if wanted and told["status"] == HTTPStatus.OK:
            body.close()
            raise self.refusal(key, WHOLE)

        def read(size: int) -> bytes:
            try:
                content: bytes = body.read(size)
            except (HTTPError, OSError) as error:
                raise Broken(str(error)) from error
            return content

        length = int(headers.get("content-length") or 0)
        return headers, Answer(length, headers.get("etag", "").strip('"'), read, body.close)

    def _put(self, container: str, key: str, content: bytes, query: str | None = None) -> str:
        """Write an object; return its etag. A 404 is the container's: Swift does not say which."""
        with self._translated(""):
            body = io.BytesIO(content)  # something to begin again with
            etag: str = self._connection.put_object(
                container, key, body, content_length=len(content), query_string=query
            )
            return etag.strip('"')

    @property
    def _connection(self) -> Any:  # noqa: ANN401  untyped
        import swiftclient  # slow to import, and not every program comes to need it

        if not hasattr(self._local, "connection"):
            settings = self.settings
            self._local.connection = swiftclient.Connection(
                authurl=settings.endpoint,
                user=settings.access_key,
                key=settings.secret_key,
                session=self._session,
                os_options={"region_name": settings.region} if self._session and settings.region else {},
                retries=ATTEMPTS - 1,
                starting_backoff=PAUSE_S,
                cacert=self._trusted,
                timeout=self._timeout_s,
            )
        return self._local.connection

    def _keystone(self) -> Any:  # noqa: ANN401  untyped
        """Return a session with Keystone; nothing is asked yet."""
        from keystoneauth1.identity import v3
        from keystoneauth1.session import Session

        settings = self.settings
        url = f"{settings.endpoint.rstrip('/').removesuffix('/v3')}/v3"
        who: Any = v3.ApplicationCredential(
            auth_url=url,
            application_credential_id=settings.access_key,
            application_credential_secret=settings.secret_key,
        )
        if settings.project:
            who = v3.Password(
                auth_url=url,
                username=settings.access_key,
                password=settings.secret_key,
                user_domain_name=settings.user_domain,
                project_name=settings.project,
                project_domain_name=settings.project_domain,
            )
        return Session(auth=who, verify=self._trusted or True, timeout=self._timeout_s)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turn the libraries' errors into ours."""
        from keystoneauth1.exceptions import ClientException as KeystoneError
        from keystoneauth1.exceptions import ConnectFailure, HttpError
        from requests import RequestException
        from swiftclient import ClientException

        try:
            yield
        except ClientException as error:
            raise self._refused(key, error.http_status or 0, error.args[0]) from error
        except HttpError as error:
            raise self._refused(key, error.http_status or 0, AUTH) from error
        except (RequestException, ConnectFailure, Broken) as error:
            raise self.no_answer(error) from error
        except KeystoneError as error:
            raise self.refusal(key, " ".join(str(error).split())[:300]) from error

    def _refused(self, key: str, status: int, message: str) -> StoreError:
        if status >= 500:
            return self.no_answer(f"HTTP {status}")
        if status == 401 or message.startswith(AUTH):
            said = f"HTTP {status}" if status else message
            return StoreError(f"the object store at {self.settings.endpoint} lets nobody in: {said}")
        if status == 404 and key:
            return self.absent(key)
        if status == 404:
            return self.no_container()
        return self.refusal(key, f"HTTP {status}")
