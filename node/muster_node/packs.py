"""Packs: small images travel together; a small object costs a store the time of 200 KiB of a large one."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable

SMALL = 256 << 10
"""Bytes up to which an image goes into a pack."""
PACK_BYTES = 8 << 20


def pack(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a tar archive of files (name, content); the same files give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
