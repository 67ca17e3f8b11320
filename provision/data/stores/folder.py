"""An object store that is a folder on this computer: for clusters that can reach no store.

Nodes see it as S3 on their own loopback, from where SSH connections lead here; see `store_tunnel.ToNodes`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from xml.sax.saxutils import escape

from provision.core.errors import StoreError
from provision.data.stores.base import StoredObject
from provision.data.stores.keys import StoreKeys
from provision.data.stores.sigv4 import Signed, signed_by

PAGE = 1000
CHUNK = 1 << 20


class FolderStore:
    """See `store.ObjectStore`: keys are paths below the folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser()

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.objects`."""
        files = [
            path
            for path in self.root.rglob("*")
            if path.is_file() and not any(part.startswith(".new-") for part in path.parts)
        ]
        keys = sorted((path.relative_to(self.root).as_posix(), path) for path in files)
        for key, path in keys:
            if key.startswith(prefix):
                yield StoredObject(key, path.stat().st_size, "")

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`."""
        try:
            return self.place(key).read_bytes()
        except OSError as error:
            raise self._failed(key, error) from error

    def write(self, key: str, content: bytes | Path) -> None:
        """See `ObjectStore.write`. A file appears whole or not at all."""
        place = self.place(key)
        fresh = place.with_name(f".new-{secrets.token_hex(4)}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
            fresh.replace(place)
        except OSError as error:
            raise self._failed(key, error) from error

    def remove(self, keys: Sequence[str]) -> None:
        """See `ObjectStore.remove`. Folders that are empty then go, too."""
        for key in keys:
            place = self.place(key)
            place.unlink(missing_ok=True)
            with suppress(OSError):
                for parent in place.parents:
                    if parent == self.root:
                        break
                    parent.rmdir()

    def write_part(self, key: str, upload: str, number: int, content: bytes) -> None:
        """Write one part of an object that appears with `join_parts`. Raises StoreError."""
        place = self._parts(key, upload) / f"{number:08d}"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        except OSError as error:
            raise self._failed(key, error) from error

    def join_parts(self, key: str, upload: str) -> None:
        """Make an object of its parts. Raises StoreError."""
        parts = self._parts(key, upload)
        try:
            whole = parts / "whole"
            with whole.open("wb") as target:
                for part in sorted(parts.glob("[0-9]*")):
                    with part.open("rb") as source:
                        shutil.copyfileobj(source, target, CHUNK)
            whole.replace(self.place(key))
        except OSError as error:
            raise self._failed(key, error) from error
        self.drop_parts(key, upload)

    def drop_parts(self, key: str, upload: str) -> None:
        """Delete the parts of an object that is not to be."""
        shutil.rmtree(self._parts(key, upload), ignore_errors=True)

    def _parts(self, key: str, upload: str) -> Path:
        """Return the folder of an upload's parts, beside the object. Raises StoreError for a strange name."""
        if not upload.isalnum():
            raise StoreError(what=f"{upload!r} is no upload", where=str(self.root))
        place = self.place(key)
        return place.with_name(f".new-{upload}")

    def place(self, key: str) -> Path:
        """Return where an object lies. Raises StoreError for a key that leads out of the folder."""
        path = self.root / key
        if ".." in path.parts or not key or not path.resolve().is_relative_to(self.root.resolve()):
            raise StoreError(what=f"{key!r} is no key of an object", where=str(self.root))
        return path

    def _failed(self, key: str, error: OSError) -> StoreError:
        return StoreError(what=f"{key}: {error.strerror}", where=str(self.root))


class FolderServer(ThreadingHTTPServer):
    """Speaks as much S3 on loopback as nodes need; who has not signed with the keys gets nothing."""

    daemon_threads = True

    def __init__(self, store: FolderStore, container: str, keys: StoreKeys) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = store
        self.container = container
        self.keys = keys
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FolderServer
    timeout: ClassVar[float] = 120

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a program that transfers data shows its own progress."""

    def do_GET(self) -> None:
        """Send an object, or a page of a listing."""
        if key := self._asked(b""):
            place = self.server.store.place(key)
            if not place.is_file():
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                return
            with place.open("rb") as source:
                self.send_response(200)
                self.send_header("Content-Length", str(os.fstat(source.fileno()).st_size))
                self.end_headers()
                while block := source.read(CHUNK):
                    self.wfile.write(block)
        elif key == "":
            self._list(self._query())

    def do_PUT(self) -> None:
        """Take an object in, or a part of one."""
        body = self._body()
        if key := self._asked(body):
            query = self._query()
            if "uploadId" in query:
                self.server.store.write_part(key, query["uploadId"], int(query["partNumber"]), body)
            else:
                self.server.store.write(key, body)
            self._answer(200)

    def do_POST(self) -> None:
        """Begin an upload in parts, or put its parts together; they come and are named in order."""
        if key := self._asked(self._body()):
            upload = self._query().get("uploadId")
            if upload is None:
                answer = f"<UploadId>{secrets.token_hex(8)}</UploadId>"
            else:
                self.server.store.join_parts(key, upload)
                answer = ""
            self._answer(200, f"<Upload>{answer}</Upload>".encode())

    def do_DELETE(self) -> None:
        """Give an upload in parts up; nodes delete nothing else."""
        if key := self._asked(b""):
            if upload := self._query().get("uploadId"):
                self.server.store.drop_parts(key, upload)
            self._answer(204 if upload else 405)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))

    def _asked(self, body: bytes) -> str | None:
        """Return the key that is asked for, '' for the container; None when the request was refused."""
        url = urllib.parse.urlsplit(self.path)
        head = {name.lower(): value for name, value in self.headers.items()}
        request = Signed(self.command, url.path, url.query, head, hashlib.sha256(body).hexdigest())
        container, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        if not signed_by(self.server.keys.access_key, self.server.keys.secret_key, request):
            self._answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        elif container != self.server.container:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif ".." in key.split("/"):
            self._answer(400, b"<Error><Code>InvalidURI</Code></Error>")
        else:
            return key
        return None

    def _list(self, query: dict[str, str]) -> None:
        after = query.get("continuation-token", "")
        found = [item for item in self.server.store.objects(query.get("prefix", "")) if item.key > after]
        page, more = found[:PAGE], len(found) > PAGE
        token = f"<NextContinuationToken>{escape(page[-1].key)}</NextContinuationToken>" if more else ""
        items = "".join(
            f"<Contents><Key>{escape(item.key)}</Key><Size>{item.bytes}</Size></Contents>" for item in page
        )
        self._answer(200, f"<ListBucketResult>{items}{token}</ListBucketResult>".encode())

    def _answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
