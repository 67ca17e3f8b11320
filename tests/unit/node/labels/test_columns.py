"""Which column of a table is which."""

from __future__ import annotations

import pytest

from muster_node.labels import LabelsError
from tests.fakes.label_tables import found, labels, notes


@pytest.mark.parametrize(
    "rows",
    [
        [["image", "level"], ["a", "1"]],
        [["a.png", "1"]],
        [["file", "grade"], ["a", "1"]],
        [["level", "image"], ["1", "a"]],
        [["label", "filename"], ["1", "a"]],
        [["1", "a.png"]],
        [["", "filename", "label"], ["0", "a.png", "1"]],
        [["Unnamed: 0", "File Name", "Label"], ["0", "a.png", "1"]],
        [["", "Bild", "Befund"], ["0", "a.png", "1"]],
        [["0", "a.png", "1"]],
        [["image", "level", "Anmerkung"], ["a", "1", "ok"]],
        [["Anmerkung", "level", "image"], ["ok", "1", "a"]],
        [["image", "level", "", ""], ["a", "1", "", ""]],
        [["image", "level", "label"], ["a", "1", "one"]],
        [["id", "Datei", "label"], ["7", "a.png", "1"]],
        [["a.png", "1", ""]],
    ],
)
def test_columns_are_found(rows):
    assert labels(rows) == {"a.png": "1"}


def test_labels_that_look_like_images_are_labels():
    images = ["0.png", "1.png", "2.png", "3.png"]
    wanted = {"0.png": "1", "1.png": "0", "2.png": "1"}
    rows = [["0", "1"], ["1", "0"], ["2", "1"]]
    assert labels([["image", "level"], *rows], images) == labels(rows, images) == wanted
    assert labels([["0", "0.png", "1"], ["1", "1.png", "0"], ["2", "2.png", "1"]], images) == wanted


def test_a_first_row_that_is_taken_for_a_header_is_told():
    rows = [["Bild", "Befund"], ["a.png", "1"]]
    assert labels(rows) == {"a.png": "1"}
    assert notes(rows) == ("the first row of the labels (Bild, Befund) is taken for a header",)
    assert not notes([["file", "grade"], ["a.png", "1"]])


def test_the_column_may_be_named():
    rows = [["image", "level", "second reading"], ["a", "1", "2"]]
    assert labels(rows, column="second_reading") == {"a.png": "2"}
    assert labels([["x", "y", "z"], ["0", "a.png", "2"]], column="z") == {"a.png": "2"}
    with pytest.raises(LabelsError, match="0 columns are called grade. The first row is image, level"):
        labels(rows, column="grade")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["a.png", "1", "x"], ["b.png", "2", "y"]], "which column holds the labels? The first row is a.png, 1, x"),
        ([["a.png", "0", "x"], ["b.png", "1", "y"]], "which column holds the labels?"),
        ([["Bild", "Befund", "Notiz"], ["a.png", "2", "x"]], "which column holds the labels? The first row is Bild"),
        ([["image", "MEL", "NV"], ["a", "1", "0"]], "one column of 0 and 1 for each class needs multi_label: true"),
        ([], "the labels are blank. Begin with a row that calls the columns image and level"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_asked_in_one_line(rows, said):
    with pytest.raises(LabelsError) as error:
        labels(rows)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_columns_of_classes():
    rows = [
        ["", "image", "MEL", "NV", "note", "age"],
        ["0", "a", "1.0", "0.0", "ok", "41"],
        ["1", "b", "1", "1", "", "7"],
    ]
    got = found(rows, multi_label=True)
    assert got.labels == {"a.png": "MEL", "b.png": "MEL|NV"}
    assert got.notes == ("columns without 0 and 1 are passed over: note, age",)
    with pytest.raises(LabelsError, match="several columns are called MEL. Give each"):
        labels([["image", "MEL", "MEL"], ["a", "1", "0"]], multi_label=True)


def test_one_column_of_0_and_1_is_no_class():
    assert labels([["image", "sick"], ["a", "1"], ["b", "0"]], multi_label=True) == {
        "a.png": "1",
        "b.png": "0",
    }
