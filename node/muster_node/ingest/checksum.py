"""A checksum that is made while something is read, and compared with the one that was given."""

from __future__ import annotations

import hashlib

ALGORITHMS = {32: "md5", 64: "sha256"}
"""Of a checksum, by its length in hex digits."""


class Checksum:
    """A checksum in the making, nothing when none is `wanted`."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted.lower()
        self._hash = hashlib.new(ALGORITHMS[len(wanted)], usedforsecurity=False) if wanted else None

    @property
    def value(self) -> str:
        """What it is so far, '' = nothing is compared."""
        return self._hash.hexdigest() if self._hash else ""

    def take(self, block: bytes) -> None:
        """Count what was read."""
        if self._hash:
            self._hash.update(block)

    def spoil(self) -> None:
        """Something was left out: there is nothing to compare."""
        self._hash = None

    def differs(self) -> bool:
        """Whether it is another one than was wanted."""
        return self._hash is not None and self.value != self._wanted
