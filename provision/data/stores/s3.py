"""A bucket of an S3 store as an object store, by boto3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provision.core.errors import StoreError
from provision.core.spec import ObjectStoreSpec
from provision.data.stores.base import StoredObject
from provision.data.stores.keys import StoreKeys

# Beyond this boto3 sends an object in parts, and its ETag is no MD5 any more.
ONE_PART = 64 << 20


class S3Store:
    """A bucket, by boto3.

    Args:
        url: where it is asked.
        spec: the container, region and form of addresses.
        keys: who asks.
    """

    def __init__(self, url: str, spec: ObjectStoreSpec, keys: StoreKeys) -> None:
        import boto3  # slow to import, and most commands never need it
        from botocore.config import Config

        self._container = spec.container
        self._where = f"object store, container {spec.container}"
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=url,
            region_name=spec.region,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.session_token or None,
            config=Config(
                s3={"addressing_style": "virtual" if spec.virtual_host else "path"},
                connect_timeout=10,
                retries={"mode": "standard", "max_attempts": 4},
                max_pool_connections=16,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.objects`."""
        with self._translated():
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._container, Prefix=prefix
            ):
                for item in page.get("Contents", ()):
                    yield StoredObject(item["Key"], item["Size"], item["ETag"].strip('"'))

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`."""
        with self._translated():
            content: bytes = self._client.get_object(Bucket=self._container, Key=key)["Body"].read()
            return content

    def write(self, key: str, content: bytes | Path) -> None:
        """See `ObjectStore.write`."""
        with self._translated():
            if isinstance(content, bytes):
                self._client.put_object(Bucket=self._container, Key=key, Body=content)
            elif content.stat().st_size > ONE_PART:
                self._client.upload_file(str(content), self._container, key)
            else:
                with content.open("rb") as source:
                    self._client.put_object(Bucket=self._container, Key=key, Body=source)

    def remove(self, keys: Sequence[str]) -> None:
        """See `ObjectStore.remove`."""
        with self._translated():
            for start in range(0, len(keys), 500):
                batch = [{"Key": key} for key in keys[start : start + 500]]
                self._client.delete_objects(Bucket=self._container, Delete={"Objects": batch, "Quiet": True})

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn boto3's errors into ours."""
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, S3UploadFailedError) as error:
            raise StoreError(
                what=f"the object store does not do what was asked: {error}",
                where=self._where,
                remedy="Run the same command again; what is there already is kept.",
            ) from error
