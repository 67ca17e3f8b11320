"""A bucket of anything that speaks S3."""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from xml.etree import ElementTree

from muster_node.stores.base import Settings, Store, StoreError, quote
from muster_node.stores.sigv4 import EMPTY_SHA256, authorization


class S3Store(Store):
    """See `Store`."""

    def __init__(self, settings: Settings, timeout_s: float = 60) -> None:
        super().__init__(settings, timeout_s)
        if settings.virtual_host:
            self._host = f"{settings.container}.{self._url.netloc}"

    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        """See `Store.names`."""
        query, token = {"list-type": "2", "prefix": prefix}, ""
        while True:
            page = _parse(
                self._send("GET", "", {**query, **({"continuation-token": token} if token else {})})
            )
            for item in page.findall("{*}Contents"):
                yield item.findtext("{*}Key") or "", int(item.findtext("{*}Size") or 0)
            token = page.findtext("{*}NextContinuationToken") or ""
            if not token:
                return

    def ask_container(self, method: str) -> int:
        """Look at the container (HEAD) or make it (PUT); return HTTP's status. Raises OSError: no answer."""
        try:
            answer = self._request(method, "", {}, b"", "")
            answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            self.close()
        return answer.status

    def _put_parts(self, key: str, parts: Iterator[bytes]) -> None:
        """Multipart: what was begun is aborted when it cannot be completed, for parts are billed."""
        upload = _parse(self._send("POST", key, {"uploads": ""})).findtext("{*}UploadId") or ""
        try:
            lines = ""
            for number, part in enumerate(parts, 1):
                query = {"partNumber": str(number), "uploadId": upload}
                tag = self._send("PUT", key, query, part)[1].get("ETag", "")
                lines += f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            body = f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()
            answer = _parse(self._send("POST", key, {"uploadId": upload}, body))
            if answer.tag.rpartition("}")[2] == "Error":  # it may come after a 200
                raise StoreError(
                    f"the object store does not put {key} together: {answer.findtext('{*}Message')}"
                )
        except BaseException:
            with suppress(StoreError):
                self._send("DELETE", key, {"uploadId": upload})
            raise

    def _request(
        self, method: str, key: str, query: Mapping[str, str], body: bytes, container: str
    ) -> http.client.HTTPResponse:
        settings = self.settings
        bucket = "" if settings.virtual_host else f"/{container or settings.container}"
        place = self._url.path.rstrip("/") + bucket
        path = quote(f"{place}/{key}" if key else place or "/", safe="/")
        text = "&".join(f"{quote(name)}={quote(value)}" for name, value in sorted(query.items()))
        headers = {
            "host": self._host,
            "x-amz-date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256,
        }
        if settings.session_token:
            headers["x-amz-security-token"] = settings.session_token
        headers["Authorization"] = authorization(
            method, path, text, headers,
            access_key=settings.access_key, secret_key=settings.secret_key, region=settings.region,
        )  # fmt: skip
        return self._answer(method, f"{path}?{text}" if text else path, headers, body)


def _parse(answer: tuple[bytes, http.client.HTTPMessage]) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(answer[0])  # noqa: S314  the answer of our own store
    except ElementTree.ParseError as error:
        raise StoreError(f"the object store's answer is no XML ({error})") from error
