"""Which client a store takes."""

from __future__ import annotations

import threading
from functools import lru_cache

from muster_node.stores.base import Settings, Store
from muster_node.stores.folder import FolderStore
from muster_node.stores.s3 import S3Store
from muster_node.stores.swift import SwiftStore

KINDS: dict[str, type[Store]] = {"s3": S3Store, "swift": SwiftStore, "folder": FolderStore}
_LOCK = threading.Lock()


def open_store(settings: Settings) -> Store:
    """Return the client of a store: S3, Swift's own protocol, or a folder; the same for all threads."""
    with _LOCK:
        return _opened(settings)


@lru_cache(maxsize=8)
def _opened(settings: Settings) -> Store:
    return KINDS[settings.kind](settings)
