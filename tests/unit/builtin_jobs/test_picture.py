"""The confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import picture
import pytest


def test_picture_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture.draw_confusion(np.diag([3, 4, 5]), title="t", subtitle="s", path=tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
