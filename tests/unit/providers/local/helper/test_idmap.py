"""Showing trees with other owners, and acting as one of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provision.providers.local.helper import idmap, system


@pytest.mark.skipif(os.geteuid() != 0, reason="sets ids")
def test_what_fails_as_a_nodes_root_fails_here() -> None:
    """Whatever it is: a root that is half made must not pass for one that is ready."""

    def act() -> None:
        raise ValueError("no file system's fault")

    with pytest.raises(ValueError, match="no file system's fault"):
        idmap.as_root_of(1_000_013_824, act)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes user namespaces")
def test_looking_whether_it_works_mounts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a check that is killed leaves nothing."""
    monkeypatch.setattr(idmap, "MOVE_MOUNT", -1)  # a system call that there is not
    before = [point for point in system.mount_points() if str(tmp_path) in point]
    idmap.require(tmp_path)
    assert [point for point in system.mount_points() if str(tmp_path) in point] == before
    with pytest.raises(OSError, match="none"):
        idmap.require(tmp_path / "none")
