"""Real disks of a node, as files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.providers.local.helper import disks, system
from provision.providers.local.helper.registry import Node

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts")


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    return make_node()


def test_a_file_is_known_by_more_than_its_name(node: Node) -> None:
    """A node of a deleted one's name never gets the disk of that one, which may be in use for a moment yet."""
    file = node.directory / "data.img"
    file.write_bytes(bytes(1024**2))
    old = disks.attach(node, file)
    try:
        assert disks.attach(node, file) == old, "one device for one file"
        with Path(old).open("rb"):
            disks.release(node)
            assert disks.attached(file) == [old]
            file.unlink()
            file.write_bytes(bytes(1024**2))
            fresh = disks.attach(node, file)
            assert fresh != old
            disks.release(node)
            disks.release(node)
    finally:
        disks.release(node)
    assert system.until(lambda: not disks.attached(file), 5)


def test_what_a_node_deletes_is_free_again_on_this_computer(node: Node) -> None:
    folder = disks.mount_changes(node)
    try:
        empty = _size(node)
        (folder / "large").write_bytes(os.urandom(32 * 1024**2))
        os.sync()
        assert _size(node) >= empty + 30 * 1024**2
        (folder / "large").unlink()

        def freed() -> bool:
            system.run(["sync", "--file-system", str(folder)])
            return _size(node) < empty + 8 * 1024**2

        assert system.until(freed, 20, 0.5), "given back"
    finally:
        disks.release(node)
    assert not [point for point in system.mount_points() if point.startswith(str(node.directory))]


def _size(node: Node) -> int:
    return (node.directory / "root.img").stat().st_blocks * 512


def test_what_a_builder_changes_lies_on_this_computers_disk(make_node: Callable[..., Node]) -> None:
    builder = make_node()
    builder.builder.touch()
    changes = disks.mount_changes(builder)
    assert changes.stat().st_dev == builder.directory.stat().st_dev
    assert disks.mount_changes(builder) == changes and not disks.attached(builder.directory / "root.img")


def test_a_node_cannot_fill_a_disk_by_its_console(node: Node) -> None:
    log = disks.console(node)
    try:
        assert disks.console(node) == log
        with pytest.raises(OSError, match="No space left"):
            log.write_bytes(bytes((disks.CONSOLE_MB + 1) * 1024**2))
    finally:
        disks.release(node)
    assert not log.exists()
