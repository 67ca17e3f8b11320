"""The object store as the control machine sees it: S3 through an SSH tunnel."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from provision.errors import MusterError
from provision.model import ClusterSpec
from provision.state import STORE_HOST, STORE_PORT
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
    """A bucket, by boto3. `endpoint` is a URL."""

    def __init__(self, endpoint: str, container: str, known: Mapping[str, str]) -> None:
        import boto3  # slow to import, and most commands never need it
        from botocore.config import Config

        self._container = container
        self._where = f"object store, container {container}"
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=known["access_key"],
            aws_secret_access_key=known["secret_key"],
            config=Config(
                s3={"addressing_style": "path"},
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


@contextmanager
def open_store(cluster: HasStore) -> Iterator[ObjectStore]:
    """Give access to a cluster's object store for a while. Raises StoreError when it cannot be reached."""
    spec = cluster.spec.object_store
    if spec.kind != "local":
        raise StoreError(what="this cluster has no object store", where=cluster.spec.name)
    known = credentials(cluster.state_dir)
    with _tunnel(cluster.state_dir / "ssh_config") as port:
        yield S3Store(f"http://127.0.0.1:{port}", spec.container, known)


def credentials(state_dir: Path) -> dict[str, str]:
    """Return {access_key, secret_key} of a cluster's store. Raises StoreError when there are none."""
    path = state_dir / "secrets" / "store.json"
    try:
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(
            what="the object store is not running",
            where=str(path),
            remedy="start_cluster.yml (./muster up) starts it; its data is still there.",
        ) from error
    return found


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
