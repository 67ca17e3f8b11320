"""A computer of the tests' own: folders elsewhere, and nodes made with few words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.providers.local.helper import disks, forwarding, images, nodes, registry
from provision.providers.local.helper.registry import Node


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is `/var/lib/muster` elsewhere."""
    for module in (registry, nodes, disks, images):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(images, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(forwarding, "MINE", tmp_path / "forwarding")
    return tmp_path


@pytest.fixture
def make_node(root: Path) -> Callable[..., Node]:
    """A node that has a folder, and is in no registry."""

    def make(name: str = "retina-worker-1", **changes: Any) -> Node:
        values: dict[str, Any] = {
            "name": name, "group": "worker", "cluster_id": "0a1b2c3d", "unit": "0123456789", "token": "t1",
            "address": "10.77.1.10", "cores": 2.0, "memory_mb": 2048, "disk_gb": 1, "image": "",
            "lower": ["base-1"], "created": 1.0, "owner": 0, "first_id": 1_000_013_824,
        }  # fmt: skip
        node = Node(**(values | changes))
        node.directory.mkdir(parents=True)
        return node

    return make
