"""Running programs and deleting trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provision.providers.local.helper import system
from provision.providers.local.helper.errors import HelperError


def test_a_tree_of_any_depth_is_deleted(tmp_path: Path) -> None:
    """What a node's root made in a store or an image must not keep this computer's next command from its work."""
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    system.remove_tree(tree)
    assert not list(tmp_path.iterdir())


def test_links_out_of_a_tree_are_not_followed(tmp_path: Path) -> None:
    tree, kept = tmp_path / "tree", tmp_path / "kept"
    tree.mkdir()
    kept.write_text("x")
    (tree / "out").symlink_to(tmp_path)
    system.remove_tree(tree)
    assert kept.read_text() == "x"


def test_a_programs_error_is_told_rather_than_what_it_draws_below(tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.write_text("/dev/stdin:1:10-10: Error: syntax error\ntable ip { bad\n         ^\n")
    with pytest.raises(HelperError, match="Error: syntax error$"):
        system.run(["sh", "-c", f"cat '{said}' >&2; exit 1"])
    said.write_text("first\nlast\n")
    with pytest.raises(HelperError, match="last$"):
        system.run(["sh", "-c", f"cat '{said}' >&2; exit 1"])
