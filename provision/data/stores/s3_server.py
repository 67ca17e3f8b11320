"""A folder of this computer as S3 on loopback: as much of it as nodes need.

Every user of this computer, and of a node, can connect: nothing is read of a request, but for its head,
before its signature is found to be right.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

from muster_node.stores.base import StoreError
from muster_node.stores.reading import CHUNK
from provision.data.stores.folder import ServedFolder
from provision.data.stores.keys import StoreKeys
from provision.data.stores.signatures import Signed, signed_by

PAGE = 1000
LARGEST = 5 << 30  # bytes of an object or a part that comes in one piece, as Amazon has it
LARGEST_LIST = 1 << 20  # bytes of a list of parts
FORGIVEN = 1 << 20  # bytes of a refused body that are thrown away, so that its sender reads why
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
quote = partial(urllib.parse.quote, safe="/")


class Damaged(Exception):
    """A body is not what was signed, or ended early."""


class FolderServer(ThreadingHTTPServer):
    """Speaks S3 on loopback; who has not signed with the keys gets nothing."""

    daemon_threads = True

    def __init__(self, store: ServedFolder, container: str, keys: StoreKeys) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = store
        self.container = container
        self.keys = keys
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A node that went away is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FolderServer
    _left = 0  # bytes of the body that were not read yet
    timeout: ClassVar[float] = 120

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a program that transfers data shows its own progress."""

    def handle_expect_100(self) -> bool:
        """Say nothing yet: `_asked` does, once the signature is right."""
        return True

    def do_HEAD(self) -> None:
        """Say how large an object is."""
        self.do_GET()

    def do_GET(self) -> None:
        """Send an object or a range of it, or a page of a listing."""
        key = self._asked(0)
        if key == "":
            self._list(self._query())
        elif key:
            place = self.server.store.place(key)
            if place.is_file():
                self._send(place)
            else:
                self._answer(404, "NoSuchKey")

    def do_PUT(self) -> None:
        """Take an object in, or a part of one."""
        if key := self._asked(LARGEST):
            query, store = self._query(), self.server.store
            try:
                if "uploadId" in query:
                    store.write_part(key, query["uploadId"], int(query["partNumber"]), self._body())
                else:
                    store.write(store.place(key), self._body())
            except (Damaged, StoreError, ValueError, KeyError):
                self._refuse(400, "BadDigest")
                return
            self._answer(200)

    def do_POST(self) -> None:
        """Begin an upload in parts, put its parts together (they come and are named in order), or delete."""
        key = self._asked(LARGEST_LIST)
        if key is None:
            return
        answer, query = "", self._query()
        try:
            content = b"".join(self._body())
            if not key:
                entries = ElementTree.fromstring(content).iterfind(".//{*}Key")  # noqa: S314  signed with our own keys
                self.server.store.remove([entry.text or "" for entry in entries])
            elif upload := query.get("uploadId"):
                self.server.store.join_parts(key, upload)
            else:
                answer = f"<UploadId>{secrets.token_hex(8)}</UploadId>"
        except (Damaged, StoreError, ElementTree.ParseError):
            self._refuse(400, "BadDigest")
            return
        self._answer(200, content=f"<Result>{answer}</Result>")

    def do_DELETE(self) -> None:
        """Give an upload in parts up; nodes delete nothing else."""
        if key := self._asked(0):
            if upload := self._query().get("uploadId"):
                self.server.store.drop_parts(key, upload)
            self._answer(204 if upload else 405)

    def _length(self) -> int:
        """The bytes of the body; without a number there that can be, more than anybody may send."""
        given = self.headers.get("Content-Length", "0")
        chunked = "Transfer-Encoding" in self.headers
        return int(given) if given.isascii() and given.isdecimal() and not chunked else LARGEST + 1

    def _body(self) -> Iterator[bytes]:
        """Yield the body piece by piece. Raises Damaged at its end when it is not what was signed."""
        digest = hashlib.sha256()
        for block in self._read(self._left):
            digest.update(block)
            yield block
        if self._left or digest.hexdigest() != self.headers["x-amz-content-sha256"]:
            raise Damaged

    def _read(self, size: int) -> Iterator[bytes]:
        """Yield at most `size` bytes of what is left of the body, piece by piece."""
        end = self._left - size
        while self._left > end and (block := self.rfile.read(min(self._left - end, CHUNK))):
            self._left -= len(block)
            yield block

    def _query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))

    def _asked(self, largest: int) -> str | None:
        """Return the key that is asked for, '' for the container; None when the request was refused.

        Args:
            largest: bytes that its body may have; nothing of it was read.
        """
        self._left = self._length()
        url = urllib.parse.urlsplit(self.path)
        head = {name.lower(): value for name, value in self.headers.items()}
        request = Signed(self.command, url.path, url.query, head)
        container, _, key = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        if not signed_by(self.server.keys.access_key, self.server.keys.secret_key, request):
            self._refuse(403, "SignatureDoesNotMatch")
        elif self._left > largest:
            self._refuse(400, "EntityTooLarge")
        elif container != self.server.container:
            self._refuse(404, "NoSuchBucket")
        elif ".." in key.split("/"):
            self._refuse(400, "InvalidURI")
        else:
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            return key
        return None

    def _list(self, query: dict[str, str]) -> None:
        after = urllib.parse.unquote(query.get("continuation-token", ""))
        found = [item for item in self.server.store.objects(query.get("prefix", "")) if item.key > after]
        page, more = found[:PAGE], len(found) > PAGE
        token = f"<NextContinuationToken>{quote(page[-1].key)}</NextContinuationToken>" if more else ""
        items = "".join(
            f"<Contents><Key>{quote(item.key)}</Key><Size>{item.bytes}</Size></Contents>" for item in page
        )
        head = f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
        self._answer(200, content=f"<ListBucketResult>{head}{token}{items}</ListBucketResult>")

    def _send(self, place: Path) -> None:
        """Send a file, or the range of it that is asked for."""
        with place.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            start, end = 0, size
            if asked := RANGE.fullmatch(self.headers.get("Range", "")):
                start = int(asked[1])
                end = min(size, int(asked[2]) + 1) if asked[2] else size
            if asked and start >= end:
                self._answer(416, "InvalidRange")
                return
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(end - start))
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.end_headers()
            source.seek(start)
            while self.command != "HEAD" and start < end and (block := source.read(min(CHUNK, end - start))):
                self.wfile.write(block)
                start += len(block)

    def _refuse(self, status: int, code: str) -> None:
        """Answer, and end the connection: what is left of the body is not kept, and not waited for."""
        self._answer(status, code, last=True)
        with suppress(OSError):
            for _ in self._read(min(self._left, FORGIVEN)):
                pass

    def _answer(self, status: int, code: str = "", content: str = "", *, last: bool = False) -> None:
        body = (f"<Error><Code>{code}</Code></Error>" if code else content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header(
            "ETag", f'"{self.headers.get("x-amz-content-sha256", "")}"'
        )  # of a part it is asked for
        if last:
            self.send_header("Connection", "close")  # which ends it here, too
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
