"""What all object stores are to programs: settings, errors, a few verbs; see `open_store`."""

from __future__ import annotations

import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from muster_node.stores.reading import CHUNK, Stream

SETTINGS = Path("/etc/muster/store.json")
ROLE = "store-role.json"
"""Beside the settings: what muster-role-credentials has fetched, where the machine's role opens the store."""
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Whom the machine trusts, a company's own authorities among them, whom the libraries' lists lack."""
ATTEMPTS = 5
"""How often a request is sent to a store that does not answer, with growing pauses: some 10 s together."""
PART_BYTES = 32 << 20
"""More goes in several requests: S3 and Swift take 5 GiB in one, but it is held in memory for a retry."""
MOST_PARTS = 1000
"""Swift takes so many segments of one object, S3 ten times as many."""


class StoreError(Exception):
    """The object store refused a request or does not answer; the text is one line."""


class NotFound(StoreError):
    """There is no such object."""


@dataclass(frozen=True)
class Settings:
    """Where the store is and who asks.

    `endpoint` is a URL such as http://object-store:8080, of Swift the one that is asked for a token, of a
    folder (`kind`) file:///path. `virtual_host`: the container is part of the host's name, as AWS wants it,
    else of the path. Of Swift, `auth_version` 3 is Keystone: `access_key` is a user of `project`, or without
    one the id of an application credential.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    container: str
    region: str = "us-east-1"
    session_token: str = field(default="", repr=False)
    kind: str = "s3"
    virtual_host: bool = False
    auth_version: int = 1
    project: str = ""
    user_domain: str = "Default"
    project_domain: str = "Default"

    @classmethod
    def load(cls, path: Path = SETTINGS) -> Settings:
        """Read the node's settings file, and its role's credentials. Raises StoreError when it cannot."""
        role = path.with_name(ROLE)
        try:
            known = json.loads(path.read_text())
            if not known["access_key"] and role.exists():
                known |= json.loads(role.read_text())
            return cls(**known)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{path}: {error}") from error

    @property
    def plain(self) -> bool:
        """Whether nothing is encrypted on the way: such a store is near, and no proxy leads to it."""
        return self.endpoint.startswith("http://")


@dataclass(frozen=True)
class Stored:
    """What a store knows of one object. `etag` is the MD5 of its content where it came in one piece."""

    key: str
    bytes: int
    etag: str


def part_length(size: int, part_bytes: int = PART_BYTES) -> int:
    """Return the bytes of each part that an object of about `size` bytes is sent in."""
    return max(part_bytes, -(-size // MOST_PARTS))


class Store(ABC):
    """Objects of one container. Threads may share a store; every method raises StoreError."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def objects(self, prefix: str = "") -> Iterator[Stored]:
        """List objects whose key starts with `prefix`, in order."""

    @abstractmethod
    def head(self, key: str) -> Stored:
        """Return what there is to know of an object without its content. Raises NotFound."""

    @abstractmethod
    def blocks(self, key: str) -> Iterator[bytes]:
        """Yield an object's content, from where it broke off when a connection breaks. Raises NotFound."""

    @abstractmethod
    def range_blocks(self, key: str, start: int, length: int) -> Iterator[bytes]:
        """Yield `length` bytes of an object from `start` on as `blocks` does, fewer where it ends."""

    @abstractmethod
    def put(self, key: str, content: bytes) -> None:
        """Write an object."""

    @abstractmethod
    def upload(self, key: str, source: IO[bytes], size: int, part_bytes: int = PART_BYTES) -> None:
        """Write an object from all of a stream, a large one in parts; it appears whole or not at all.

        Args:
            key: the object's.
            source: its content.
            size: bytes that there are at least; a file that is still written may have more.
            part_bytes: what is larger goes in parts of this size.

        Raises:
            OSError: the source cannot be read, or ended early.
        """

    @abstractmethod
    def remove(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are not there do not matter."""

    def names(self, prefix: str) -> Iterator[tuple[str, int]]:
        """List objects whose key starts with `prefix`: (key, bytes), in order."""
        return ((stored.key, stored.bytes) for stored in self.objects(prefix))

    def get(self, key: str) -> bytes:
        """Return an object's content. Raises NotFound."""
        return b"".join(self.blocks(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return `length` bytes of an object from `start` on, fewer where it ends. Raises NotFound."""
        return b"".join(self.range_blocks(key, start, length))

    def open(self, key: str) -> IO[bytes]:
        """Return an object's content as a stream, which raises StoreError, too. Raises NotFound."""
        return io.BufferedReader(Stream(self.blocks(key)), CHUNK)

    def download(self, key: str, target: IO[bytes]) -> str:
        """Write an object's content over that of `target`; return its SHA-256. Raises NotFound, OSError."""
        target.seek(0)
        target.truncate()
        digest = hashlib.sha256()
        for block in self.blocks(key):
            digest.update(block)
            target.write(block)
        return digest.hexdigest()

    def absent(self, key: str) -> NotFound:
        """Return the error that says that there is no such object."""
        return NotFound(f"the object store has no {key}")

    def no_container(self) -> StoreError:
        """Return the error that says that the container is missing."""
        where = f"the object store at {self.settings.endpoint}"
        return StoreError(f"{where} has no container {self.settings.container}; make it first")

    def refusal(self, key: str, why: str) -> StoreError:
        """Return the error that says that the store does not do what was asked."""
        what = key or self.settings.container
        return StoreError(f"the object store at {self.settings.endpoint} refuses {what}: {why}")

    def no_answer(self, error: object) -> StoreError:
        """Return the error that says that nobody answers."""
        why = " ".join(str(error).split())[:300]
        return StoreError(f"the object store at {self.settings.endpoint} does not answer ({why})")
