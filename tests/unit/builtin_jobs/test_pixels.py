"""Rows of prepared sets as blocks of bytes."""

from __future__ import annotations

import numpy as np
import pytest
from pixels import Draw, draw_of, parse
from prepared import PixelParameters

from muster_node import footprint
from muster_node.sets import Manifest


def lines(rows: int, columns: int) -> list[str]:
    return [",".join(map(str, [row % 3, *((row + x) % 256 for x in range(columns))])) for row in range(rows)]


def test_lines_become_blocks_of_a_bounded_size(monkeypatch):
    monkeypatch.setattr(footprint, "BLOCK_BYTES", 40)
    found = list(parse(lines(9, 10), 10))
    assert [len(labels) for labels, _ in found] == [4, 4, 1]
    assert np.concatenate([labels for labels, _ in found]).tolist() == [row % 3 for row in range(9)]
    assert found[2][1].tolist() == [list(range(8, 18))] and found[0][1].dtype == np.uint8
    assert found[0][1][3, 0] == 3, "a block stays what it was when the next is made"


def test_a_row_of_another_length_is_told():
    with pytest.raises(ValueError, match="has 9 pixels where its set has 10"):
        list(parse(lines(2, 9), 10))


def test_several_labels_are_refused():
    with pytest.raises(ValueError, match="label '3|7': a row has one label"):
        list(parse(["3|7,1,2"], 2))


def test_shares_of_classes_are_taken_the_same_way_by_everyone():
    rows = [(np.repeat([0, 1], 500), np.arange(1000, dtype=np.uint8)[:, None])]
    draw = Draw((1.0, 0.1), seed=7)
    first, again, other = (list(draw.take(file, rows)) for file in (3, 3, 4))
    assert first[0][1].tolist() == again[0][1].tolist() != other[0][1].tolist()
    counts = np.bincount(first[0][0])
    assert counts[0] == 500 and 25 < counts[1] < 80
    assert next(Draw().take(0, rows)) is rows[0]


def test_blocks_of_which_no_row_is_taken_are_left_out():
    rows = [(np.full(20, kind), np.zeros((20, 3), np.uint8)) for kind in (0, 1, 0)]
    assert [labels.tolist() for labels, _ in Draw((0.0, 1.0)).take(0, rows)] == [[1] * 20]


def test_lines_are_sifted_as_rows_are_taken():
    draw, found = Draw((0.5, 0.2, 1.0), seed=7), lines(400, 3)
    taken = np.concatenate([pixels for _, pixels in draw.take(3, parse(found, 3))])
    sifted = [pixels for _, pixels in parse(draw.sift(3, iter(found)), 3)]
    assert np.array_equal(np.concatenate(sifted), taken) and 150 < len(taken) < 300
    assert list(Draw().sift(3, iter(found))) == found


def test_a_job_draws_what_it_is_asked_for():
    about = Manifest(classes={"a": 0, "b": 1}, rows_per_class={"0": 9, "1": 3})
    asked = PixelParameters(size=16, dataset="x", balance="subsample", sample=0.5, seed=3)
    assert draw_of(asked, about) == Draw((0.5 / 3, 0.5), seed=3)
    assert draw_of(PixelParameters(size=16, dataset="x"), about).shares == ()


def test_labels_and_pixels_stay_together():
    rows = [(np.arange(200) % 2, (np.arange(200, dtype=np.uint8) % 2)[:, None])]
    labels, found = next(Draw((0.5, 0.2), 1).take(0, rows))
    assert labels.tolist() == found[:, 0].tolist() and 0 < len(labels) < 200
