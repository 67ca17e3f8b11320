"""A bucket of anything that speaks S3, by botocore and s3transfer.

boto3 is the same with more around it, which each short program of a node would pay a third more start-up for.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import IO, Any, cast

from muster_node.stores.base import (
    ATTEMPTS,
    AUTHORITIES,
    PART_BYTES,
    Settings,
    Store,
    Stored,
    StoreError,
    part_length,
)
from muster_node.stores.reading import WHOLE, Answer, Broken, Whole, byte_range, resumed
from muster_node.stores.s3_reading import CONNECT_S, Reader, as_answer

CONNECTIONS = 32
ENDED = ("ExpiredToken", "TokenRefreshRequired")
"""What Amazon says to keys whose time is over."""


class S3Store(Store):
    """See `Store`.

    Args:
        settings: where the bucket is.
        timeout_s: how long an answer may take.
        direct: whether this computer's own connections lead to the store, not a hook on `client`.
    """

    def __init__(self, settings: Settings, timeout_s: float = 60, *, direct: bool = True) -> None:
        super().__init__(settings)
        known = str(AUTHORITIES) if AUTHORITIES.exists() else None
        self._trusted = os.environ.get("AWS_CA_BUNDLE") or known
        self._timeout_s = timeout_s
        self._making = threading.Lock()
        self._client: Any = None
        self._reader = (
            Reader(settings, trusted=self._trusted, timeout_s=timeout_s, most=CONNECTIONS) if direct else None
        )

    @property
    def client(self) -> Any:  # noqa: ANN401  botocore's
        """Botocore's client, for all but the GETs that go well. It is dear to make, and made once."""
        with self._making:  # where a store falters, all threads come for it together
            if self._client is None:
                self._client = self._made()
            return self._client

    def _made(self) -> Any:  # noqa: ANN401  botocore's
        from botocore.config import Config
        from botocore.session import Session

        settings = self.settings
        return Session().create_client(
            "s3",
            endpoint_url=settings.endpoint,
            region_name=settings.region,
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            aws_session_token=settings.session_token or None,
            verify=self._trusted,
            config=Config(
                s3={"addressing_style": "virtual" if settings.virtual_host else "path"},
                connect_timeout=CONNECT_S,
                read_timeout=self._timeout_s,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=CONNECTIONS,
                proxies={} if settings.plain else None,
                # Swift's S3 knows no other checksums than MD5.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def objects(self, prefix: str = "") -> Iterator[Stored]:
        """See `Store.objects`."""
        with self._translated(""):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.settings.container, Prefix=prefix):
                for item in page.get("Contents", ()):
                    yield Stored(item["Key"], item["Size"], item.get("ETag", "").strip('"'))

    def head(self, key: str) -> Stored:
        """See `Store.head`."""
        with self._translated(key):
            known = self.client.head_object(Bucket=self.settings.container, Key=key)
            return Stored(key, known["ContentLength"], known.get("ETag", "").strip('"'))

    def blocks(self, key: str) -> Iterator[bytes]:
        """See `Store.blocks`."""
        with self._translated(key):
            yield from resumed(self._answer(key), partial(self._answer, key))

    def range_blocks(self, key: str, start: int, length: int) -> Iterator[bytes]:
        """See `Store.range_blocks`."""
        with self._translated(key):
            first = self._answer(key, start, "", length)
            yield from resumed(first, lambda at, etag: self._answer(key, start + at, etag, length - at))

    def put(self, key: str, content: bytes) -> None:
        """See `Store.put`."""
        with self._translated(key):
            self.client.put_object(Bucket=self.settings.container, Key=key, Body=content)

    def upload(self, key: str, source: IO[bytes], size: int, part_bytes: int = PART_BYTES) -> None:
        """See `Store.upload`. One part is in memory at a time."""
        from s3transfer.futures import NonThreadedExecutor
        from s3transfer.manager import TransferConfig, TransferManager

        length = part_length(size, part_bytes)
        config = TransferConfig(multipart_threshold=length + 1, multipart_chunksize=length)
        with (
            self._translated(key),
            TransferManager(self.client, config, executor_cls=NonThreadedExecutor) as manager,
        ):
            manager.upload(cast("IO[bytes]", Whole(source, size)), self.settings.container, key).result()

    def remove(self, keys: Iterable[str]) -> None:
        """See `Store.remove`."""
        left = iter(keys)
        while batch := list(islice(left, 500)):
            wanted = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
            with self._translated(""):
                answer = self.client.delete_objects(Bucket=self.settings.container, Delete=wanted)
            for refused in answer.get("Errors", ()):
                raise self.refusal(refused["Key"], refused.get("Code", ""))

    def _answer(self, key: str, start: int = 0, etag: str = "", length: int | None = None) -> Answer:
        asked = {"Range": byte_range(start, length)} if start or length is not None else {}
        if self._reader is not None:
            try:
                answer = self._reader.ask(key, asked | ({"If-Match": etag} if etag else {}))
            except KeyError as error:
                raise self.absent(key) from error
            if answer is not None:
                return answer
        asked |= {"IfMatch": etag} if etag else {}
        known = self.client.get_object(Bucket=self.settings.container, Key=key, **asked)
        if "Range" in asked and known["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.OK:
            known["Body"].close()
            raise self.refusal(key, WHOLE)
        return as_answer(known["Body"], known["ContentLength"], known.get("ETag", ""))

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Turn botocore's errors into ours."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            raise self._refused(key, error.response) from error
        except (BotoCoreError, Broken) as error:
            raise self.no_answer(error) from error

    def _refused(self, key: str, answer: Any) -> StoreError:  # noqa: ANN401  botocore's
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(answer.get("Error", {}).get("Code", ""))
        if status == 404 and key and code != "NoSuchBucket":
            return self.absent(key)
        if status == 404:
            return self.no_container()
        if status >= 500:
            return self.no_answer(f"HTTP {status} {code}")
        ended = "; its keys here have ended, main.yml brings new ones" if code in ENDED else ""
        return self.refusal(key, f"HTTP {status} {code}{ended}")
