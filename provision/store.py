"""The object store as the control machine sees it: S3 (here: through an SSH tunnel), or Swift's protocol."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from provision.errors import MusterError, NotReady
from provision.model import ClusterSpec, ObjectStoreSpec
from provision.state import STORE_HOST, STORE_PORT
from provision.store_keys import StoreKeys, obtain, recorded
from provision.wait import until

TUNNEL_WITHIN_S = 20.0
# Beyond this boto3 sends an object in parts, and its ETag is no MD5 any more.
ONE_PART = 64 << 20


class StoreError(MusterError):
    """The object store does not answer, or refuses a request."""


@dataclass(frozen=True)
class StoredObject:
    """One object. `md5` is '' where the store does not tell it."""

    key: str
    bytes: int
    md5: str


class ObjectStore(Protocol):
    """Objects of one container; every method raises StoreError."""

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """List the objects whose key starts with `prefix`, in order."""
        ...

    def read(self, key: str) -> bytes:
        """Return a small object's content."""
        ...

    def write(self, key: str, content: bytes | Path) -> None:
        """Write an object from memory or from a file."""
        ...

    def remove(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there do not matter."""
        ...


class HasStore(Protocol):
    """What is needed of a cluster to reach its store."""

    @property
    def spec(self) -> ClusterSpec:
        """The config."""
        ...

    @property
    def state_dir(self) -> Path:
        """The state folder."""
        ...


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
        with self._told():
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._container, Prefix=prefix
            ):
                for item in page.get("Contents", ()):
                    yield StoredObject(item["Key"], item["Size"], item["ETag"].strip('"'))

    def read(self, key: str) -> bytes:
        """See `ObjectStore.read`."""
        with self._told():
            content: bytes = self._client.get_object(Bucket=self._container, Key=key)["Body"].read()
            return content

    def write(self, key: str, content: bytes | Path) -> None:
        """See `ObjectStore.write`."""
        with self._told():
            if isinstance(content, bytes):
                self._client.put_object(Bucket=self._container, Key=key, Body=content)
            elif content.stat().st_size > ONE_PART:
                self._client.upload_file(str(content), self._container, key)
            else:
                with content.open("rb") as source:
                    self._client.put_object(Bucket=self._container, Key=key, Body=source)

    def remove(self, keys: Sequence[str]) -> None:
        """See `ObjectStore.remove`."""
        with self._told():
            for start in range(0, len(keys), 500):
                batch = [{"Key": key} for key in keys[start : start + 500]]
                self._client.delete_objects(Bucket=self._container, Delete={"Objects": batch, "Quiet": True})

    @contextmanager
    def _told(self) -> Iterator[None]:
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


def connect(spec: ObjectStoreSpec, keys: StoreKeys) -> ObjectStore:
    """Return a store elsewhere; nothing is asked yet."""
    if spec.kind == "swift":
        from provision.store_swift import SwiftStore  # only where it is needed: it builds on this module

        return SwiftStore(spec, keys)
    return S3Store(spec.url, spec, keys)


def check(spec: ObjectStoreSpec, keys: StoreKeys) -> None:
    """Ask a store elsewhere for one object's name, so that nothing is made that could not reach its data.

    Raises:
        NotReady: wrong keys, no such container, no answer.
    """
    try:
        next(iter(connect(spec, keys).objects()), None)
    except StoreError as error:
        raise NotReady(
            where=f"object store {spec.url}, container {spec.container}",
            what=error.what,
            remedy="Make the container, or correct object_store and its keys",
        ) from error


@contextmanager
def open_store(cluster: HasStore) -> Iterator[ObjectStore]:
    """Give access to a cluster's object store for a while. Raises StoreError when it cannot be reached."""
    spec = cluster.spec.object_store
    if spec.kind == "none":
        raise StoreError(what="this cluster has no object store", where=cluster.spec.name)
    if spec.elsewhere:
        keys = recorded(cluster.state_dir / "secrets") or obtain(cluster.spec, {})
        yield connect(spec, keys)
        return
    if spec.kind == "folder":
        from provision.store_folder import FolderStore  # it builds on this module

        yield FolderStore(Path(spec.path))
        return
    kept = recorded(cluster.state_dir / "secrets")
    if kept is None:
        raise StoreError(
            what="the object store is not running",
            where=cluster.spec.name,
            remedy="start_cluster.yml (./muster up) starts it; its data is still there.",
        )
    with _tunnel(cluster.state_dir / "ssh_config") as port:
        yield S3Store(f"http://127.0.0.1:{port}", spec, kept)


@contextmanager
def _tunnel(ssh_config: Path) -> Iterator[int]:
    """Open an SSH tunnel to the store's machine and yield its local port. Raises StoreError."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    # The servers listen on the machine's own address, which its hosts file knows by this name.
    forward = f"127.0.0.1:{port}:{STORE_HOST}:{STORE_PORT}"
    command = [
        "ssh",
        "-F",
        str(ssh_config),
        "-S",
        "none",
        "-o",
        "ExitOnForwardFailure=yes",
        "-o",
        "BatchMode=yes",
    ]
    with subprocess.Popen(
        [*command, "-N", "-L", forward, STORE_HOST],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if not until(
                lambda: _open(port) or process.poll() is not None, deadline_s=TUNNEL_WITHIN_S, interval_s=0.05
            ):
                raise StoreError(what=f"no SSH tunnel within {TUNNEL_WITHIN_S:.0f} s", where=STORE_HOST)
            if process.poll() is not None:
                said = (process.stderr.read() if process.stderr else "").strip().splitlines()
                raise StoreError(
                    what=f"no SSH tunnel to the object store: {said[-1] if said else 'ssh ended'}",
                    where=STORE_HOST,
                    remedy="start_cluster.yml (./muster up) starts it; its data is still there.",
                )
            yield port
        finally:
            process.terminate()


def _open(port: int) -> bool:
    """Say whether something listens on a local port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
