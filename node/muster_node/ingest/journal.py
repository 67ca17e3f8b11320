"""What was taken in already: one small object for each piece of work, written when all of it is in the store.

They are named `<dataset>/ingest/<digest>/<piece>.json`; the digest is of what decides the bytes (see
`request.essence`), so that another source, sample or size begins anew.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from muster_node.stores.base import NotFound, Store, StoreError

STORE_S = 180.0
"""So long a store may be out of reach, while its machine restarts for example."""
STORE_PAUSE_S = 2.0
Answer = TypeVar("Answer")


@dataclass
class Piece:
    """What a piece of work has taken in.

    `images`: objects of their own (name -> bytes); `packs`: key -> names in it; `sizes`: of packs in bytes;
    `aside`: (name, reason); `failed`: (name, address, reason) of what could not be fetched, `passing` of it:
    names that may come another time; `left`: images that the sample has not drawn; `table`: the key of the
    labels' file, if it was among this; `units`: how far this brings the progress; `place`: where reading may
    go on, 0 = only from the beginning; `raw_bytes`: of all images.
    """

    name: str
    images: dict[str, int] = field(default_factory=dict)
    packs: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    aside: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    passing: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    table: str = ""
    units: int = 0
    place: int = 0
    raw_bytes: int = 0
    last: bool = False

    @property
    def names(self) -> list[str]:
        """All images that it has taken in."""
        return [*self.images, *(name for names in self.packs.values() for name in names)]

    @property
    def seen(self) -> list[str]:
        """All files that it has looked at."""
        return [*self.names, *self.left, *(name for name, _ in self.aside)]


class Journal:
    """The pieces of one data set and one digest."""

    def __init__(self, store: Store, dataset: str, digest: str) -> None:
        self._store = store
        self._prefix = f"{dataset}/ingest/{digest}/"

    def table_key(self, piece: str) -> str:
        """Return the key that a labels file from inside the source is kept under, which `piece` has found."""
        return f"{self._prefix}{piece}.labels"

    def write(self, piece: Piece) -> None:
        """Write down a finished piece. Raises StoreError."""
        content = json.dumps(asdict(piece)).encode()
        patiently(lambda: self._store.put(f"{self._prefix}{piece.name}.json", content))

    def read(self, name: str) -> Piece | None:
        """Return a finished piece, None when it is not. Raises StoreError."""
        try:
            return Piece(**json.loads(patiently(lambda: self._store.get(f"{self._prefix}{name}.json"))))
        except NotFound:
            return None

    def names(self) -> list[str]:
        """Return the names of all finished pieces, in order. Raises StoreError."""
        keys = patiently(lambda: [key for key, _ in self._store.names(self._prefix)])
        return sorted(
            key.removeprefix(self._prefix).removesuffix(".json") for key in keys if key.endswith(".json")
        )

    def every(self, prefix: str = "") -> Iterator[Piece]:
        """Yield the finished pieces whose names begin so, in order. Raises StoreError."""
        for name in self.names():
            if name.startswith(prefix) and (piece := self.read(name)):
                yield piece

    def keys(self) -> list[str]:
        """Return the keys of all that the journal has written. Raises StoreError."""
        return patiently(lambda: [key for key, _ in self._store.names(self._prefix)])


def digest_of(essence: Mapping[str, object]) -> str:
    """Return the digest that a journal goes by."""
    return hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()[:16]


def patiently(call: Callable[[], Answer]) -> Answer:
    """Call until the store answers, or STORE_S are over. Raises NotFound, StoreError."""
    end = time.monotonic() + STORE_S
    while True:
        try:
            return call()
        except NotFound:
            raise
        except StoreError:
            if time.monotonic() > end:
                raise
            time.sleep(STORE_PAUSE_S)
