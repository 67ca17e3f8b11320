"""Which client a store takes."""

from __future__ import annotations

from muster_node.stores.base import Settings, Store
from muster_node.stores.s3 import S3Store
from muster_node.stores.swift import SwiftStore


def open_store(settings: Settings) -> Store:
    """Return a client of the settings' kind of store: S3, or Swift's own protocol."""
    return SwiftStore(settings) if settings.kind == "swift" else S3Store(settings)
