"""How the content of a piece comes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from muster_node.sets import SetFile
from muster_node.staging.plan import Piece, StagedFile
from muster_node.staging.transfer import Contents, Damaged
from muster_node.stores.base import NotFound
from muster_node.stores.folder import FolderStore

PARTS = [bytes([number]) * (1000 + number) for number in range(40)]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore.at(tmp_path)
    for number, content in enumerate(PARTS):
        store.put(f"part-{number}", content)
    return store


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def file(*contents: bytes) -> StagedFile:
    return StagedFile(
        "x",
        tuple(
            SetFile(f"part-{number}", len(content), hashlib.sha256(content).hexdigest(), 1)
            for number, content in enumerate(contents)
        ),
    )


def test_a_read_is_filled_from_many_objects(store: FolderStore, pool: ThreadPoolExecutor) -> None:
    whole = file(*PARTS)
    with Contents(store, Piece(whole, 0, whole.bytes), pool) as source:
        for _ in range(2):
            source.seek(0)
            assert source.read(10_000) == b"".join(PARTS)[:10_000], "one send to a DataNode, not ten"
        assert source.read(1 << 20) == b"".join(PARTS)[10_000:]
        assert source.read(1) == b""


def test_a_range_comes_without_the_rest_and_a_short_one_is_damage(
    store: FolderStore, pool: ThreadPoolExecutor
) -> None:
    with Contents(store, Piece(file(PARTS[0]), 990, 10), pool) as source:
        source.seek(0)
        assert source.read(1 << 20) == PARTS[0][990:]
    with Contents(store, Piece(file(PARTS[0]), 995, 10), pool) as source:
        source.seek(0)
        with pytest.raises(Damaged, match="part-0 in the object store is shorter"):
            source.read(1 << 20)


def test_after_one_that_is_missing_no_more_are_asked_for(
    store: FolderStore, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.remove(["part-0"])
    asked: list[str] = []
    blocks, left = store.blocks, threading.Event()

    def noted(key: str) -> Iterator[bytes]:
        asked.append(key)
        if key == "part-1":
            left.wait(20)
        return blocks(key)

    monkeypatch.setattr(store, "blocks", noted)
    whole = file(*PARTS)
    source = Contents(store, Piece(whole, 0, whole.bytes), pool)
    source.seek(0)
    with pytest.raises(NotFound):
        source.read(1)
    source.close()
    left.set()
    pool.shutdown()
    assert "part-39" not in asked
