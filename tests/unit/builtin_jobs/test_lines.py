"""jobs/common/lines.py"""

from __future__ import annotations

import csv
import io

import lines
import pytest


@pytest.mark.parametrize("first", ["7", "left/10.jpeg", 'a "b", c', ",", '"', "é ü"])
def test_a_row_is_read_as_csv_writes_it(first: str):
    target = io.StringIO()
    csv.writer(target, lineterminator="").writerow([first, 0, 255, 17])
    found, pixels = lines.parse(target.getvalue(), 3)
    assert found == first and pixels.tolist() == [0, 255, 17] and pixels.dtype == "uint8"
    assert lines.split(target.getvalue()) == (first, "0,255,17")


@pytest.mark.parametrize("line", ["7,1,2", "7,1,2,3,4", "7", ""])
def test_a_row_of_another_length_is_refused(line: str):
    with pytest.raises(lines.BadRow, match="where its set has 3"):
        list(lines.parsed([line], 3))
