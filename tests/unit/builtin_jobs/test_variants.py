"""jobs/common/variants.py: what a model is given of pictures."""

from __future__ import annotations

import numpy as np
import pytest
import variant_names
import variants
from classes import BadClasses


def test_values():
    rows = np.array([[0, 255, 51, 102]], np.uint8)
    assert variants.values(rows, variant_names.RAW, 1).tolist() == [[0, 255, 51, 102]]
    assert variants.values(rows, variant_names.VARYING, 1).dtype == np.float32
    assert variants.values(rows, variant_names.SCALED, 1) == pytest.approx(np.array([[0, 1, 0.2, 0.4]]))
    normal = variants.values(rows, variant_names.NORMAL, 1)
    assert normal.mean() == pytest.approx(0, abs=1e-6) and normal.std() == pytest.approx(1)


def test_pixels_that_differ_in_any_block_are_kept():
    first, second = np.zeros((2, 3, 4), np.uint8)
    first[:, 0] = [1, 2, 3]
    first[:, 1] = 9
    second[:, 0] = 1
    second[:, 2] = 5
    assert variants.varying([first, second, second[:0]]).tolist() == [True, True, True, False]
    for blocks in ([], [second], [first[:1]]):
        with pytest.raises(BadClasses, match="no pixel differs"):
            variants.varying(blocks)


def test_the_box_is_around_all_that_is_kept():
    kept = np.zeros((6, 5), bool)
    kept[1, 3] = kept[4, 2] = True
    assert variants.box(kept) == (1, 5, 2, 4)
