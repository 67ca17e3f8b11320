"""What an object store is to the control machine, whoever runs it; see `store_open`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


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
