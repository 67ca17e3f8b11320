"""Making a builder's changes a layer."""

from __future__ import annotations

import errno
import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from provision.providers.local.helper import disks, images, registry, supervisor, system
from provision.providers.local.helper.errors import HelperError
from provision.providers.local.helper.registry import Network, Node, Registry

CLUSTER = "0a1b2c3d"


def image(root: Path, identity: str, **changes: Any) -> images.Image:
    values: dict[str, Any] = {
        "id": identity, "kind": "layer", "base": "base-1", "created": 1.0, "size": 1, "owner": 0,
        "key": "recipe",
    } | changes  # fmt: skip
    (root / "images" / identity / "root").mkdir(parents=True)
    (root / "images" / identity / "meta.json").write_text(json.dumps(values))
    return images.Image(**values)


@pytest.fixture
def builder(root: Path, make_node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch) -> Node:
    """A machine that was booted from the base and changed something; nothing of it runs or is mounted."""
    monkeypatch.setattr(registry, "caller", lambda: 0)
    monkeypatch.setattr(supervisor, "halt", lambda node: None)
    monkeypatch.setattr(disks, "release", lambda node: None)
    monkeypatch.setattr(disks, "mount_changes", lambda node: node.directory / "changes")
    image(root, "base-1", kind="base", base="", key="")
    node = make_node(created=5.0)
    node.prepared.touch()
    (node.directory / "changes/upper/opt").mkdir(parents=True)
    (node.directory / "changes/upper/opt/program").write_text("x" * 100_000)
    state = Registry()
    state.networks[CLUSTER] = Network(CLUSTER, "image-recipe", "10.77.1.0/24", 0)
    state.nodes[node.key] = node
    state.save()
    return node


def commit() -> str:
    return str(images.commit({"cluster_id": CLUSTER, "key": "recipe"})["id"])


def test_a_layer_that_is_renewed_takes_the_place_of_the_old_ones(root: Path, builder: Node) -> None:
    image(root, "recipe.1", created=1.0)
    image(root, "recipe.2", created=2.0)
    image(root, "recipe.3", created=3.0, owner=1234)
    image(root, "other.1", key="other")
    with registry.changing() as state:
        user = Node(
            **(asdict(builder) | {"name": "worker", "lower": ["recipe.2", "base-1"], "cluster_id": "f" * 8})
        )
        state.nodes[user.key] = user
        state.networks["f" * 8] = Network("f" * 8, "retina", "10.77.2.0/24", 0)
    fresh = commit()
    assert {one.id for one in images.known()} == {"base-1", "other.1", "recipe.2", "recipe.3", fresh}
    assert images.find("recipe").id == fresh
    assert (root / "images" / fresh / "root/opt/program").exists()


def test_what_a_builder_changed_is_not_copied(root: Path, builder: Node) -> None:
    before = (builder.directory / "changes/upper/opt/program").stat()
    after = (root / "images" / commit() / "root/opt/program").stat()
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)


@pytest.fixture
def elsewhere(builder: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's changes lie on a disk of its own."""
    usual = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.is_relative_to(builder.directory):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return usual(path, target)

    monkeypatch.setattr(Path, "rename", rename)


@pytest.mark.usefixtures("elsewhere")
def test_what_lies_on_a_disk_of_its_own_is_copied(root: Path, builder: Node) -> None:
    assert (root / "images" / commit() / "root/opt/program").read_text() == "x" * 100_000


@pytest.mark.usefixtures("elsewhere")
def test_a_layer_that_does_not_fit_is_refused_before_it_is_written(
    root: Path, builder: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = disks.RESERVE + 50_000
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": free}))
    with pytest.raises(HelperError, match="an image layer: .* must stay free") as caught:
        commit()
    assert caught.value.kind == "not_ready"
    assert (
        subprocess.run(["find", root / "images", "-name", "program"], capture_output=True, check=True).stdout
        == b""
    )


def test_files_that_vanish_while_they_are_counted_are_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the data of a store that clusters write to."""
    (tmp_path / "file").write_text("x" * 100_000)
    program = tmp_path / "du"
    program.write_text('#!/bin/sh\n/usr/bin/du "$@"; echo "du: cannot access: No such file" >&2; exit 1\n')
    program.chmod(0o755)
    monkeypatch.setitem(system.ENVIRONMENT, "PATH", f"{tmp_path}:{system.ENVIRONMENT['PATH']}")
    assert images.tree_size(tmp_path) >= 100_000
    assert images.tree_size(tmp_path / "none") == 0
