"""The report of rows that give no label, as it is kept."""

from __future__ import annotations

import csv
import io

from muster_node.labels.report import CONTRADICTION, DUPLICATE, BadLabel, BadLabels, Labels, LabelsError


def test_the_table_holds_whatever_rows_hold():
    bad = BadLabel(7, CONTRADICTION, 'a,"x"\ny', "a.png is 0 in line 6 and 1 in line 7")
    rows = list(csv.reader(io.StringIO(Labels({}, [bad], 1).report_csv())))
    assert rows == [["line", "kind", "row", "why"], ["7", CONTRADICTION, bad.row, bad.why]]


def test_rows_that_repeat_are_no_harm():
    repeat, other = (
        BadLabel(2, DUPLICATE, "a,1", "said"),
        BadLabel(3, CONTRADICTION, "b,1", "b is two things"),
    )
    found = Labels({"a": "1"}, [repeat, other], 4)
    assert found.harmful == [other] and found.counts["used"] == 2
    assert str(BadLabels(found)).startswith(
        "1 of 4 rows of the labels are bad: 1 contradiction (first: line 3, b is"
    )


def test_an_error_is_one_line():
    assert str(LabelsError("bad", "Mend it.")) == "bad. Mend it."
    assert str(LabelsError("bad")) == "bad"
