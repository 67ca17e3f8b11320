"""The confusion matrix, and tables of shares, as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import picture
import pytest


def test_picture_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture.draw_confusion(np.diag([3, 4, 5]), title="t", subtitle="s", path=tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_may_have_gaps(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    shares = [[0.9, None, 0.5], [0.7, 0.8, None]]
    picture.draw_table(shares, down=["a", "b"], across=["x", "y", "z"], title="t", path=tmp_path / "a.png")
    picture.draw_table([[None]], down=["a"], across=["x"], title="t", path=tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
