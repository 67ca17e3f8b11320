"""From a table to labels: what every row gives, and what is said of those that give nothing."""

from __future__ import annotations

import pytest

from muster_node.labels import BadLabels, LabelsError, read
from tests.fakes.label_tables import IMAGES, found, labels, notes

DIALECTS = {
    "plain": b"image,level\na.png,0\nb.png,1\n",
    "no header": b"a.png,0\nb.png,1\n",
    "no line end at the end, as of Google Sheets": b"image,level\r\na.png,0\r\nb.png,1",
    "other order": b"level,image\n0,a.png\n1,b.png\n",
    "paths of Windows": b"image,level\r\nC:\\study\\a.png,0\r\nC:\\study\\b.png,1\r\n",
    "Excel, CSV UTF-8": b"\xef\xbb\xbfimage,level\r\na.png,0\r\nb.png,1\r\n,\r\n",
    "Excel, German": b"\xef\xbb\xbfimage;level\r\na.png;0\r\nb.png;1\r\n",
    "Excel, Macintosh": b"image,level\ra.png,0\rb.png,1\r",
    "Excel, Unicode text": "image\tlevel\r\na.png\t0\r\nb.png\t1\r\n".encode("utf-16"),
    "Excel, ANSI, with remarks": "image,level,Anmerkung\r\na.png,0,geprüft\r\nb.png,1,\r\n".encode("cp1252"),
    "Excel, told separator": b'sep=;\r\nimage;level\r\n"a.png";0\r\n"b.png";1\r\n',
    "LibreOffice, all text quoted": b'"image","level","remark"\n"a.png",0,"x, y"\n"b.png",1,\n',
    "LibreOffice, tabs": b"image\tlevel\na.png\t0\nb.png\t1\n",
    "pandas": b",image,level\n0,a.png,0\n1,b.png,1\n",
    "pandas, read and written again": b",Unnamed: 0,image,level\n0,0,a.png,0\n1,1,b.png,1\n",
    "pandas, floats": b",filename,label\n0,a.png,0.0\n1,b.png,1.0\n",
    "pandas, the image is the index": b"Bild,Befund\na.png,0\nb.png,1\n",
    "pandas, bars and all quoted": b'"image"|"level"\n"a.png"|"0"\n"b.png"|"1"\n',
    "pandas, single quotes": b"'','image','level'\n'0','a.png','0'\n'1','b.png','1'\n",
    "R, write.csv": b'"","image","level"\n"1","a.png",0\n"2","b.png",1\n',
    "R, write.csv2": b'"image";"level"\n"a.png";0\n"b.png";1\n',
    "numpy, savetxt": b"# image,level\na.png,0\nb.png,1\n",
}
"""Labels as programs write them, byte for byte."""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects_of_programs_are_read(dialect):
    got = read(DIALECTS[dialect], IMAGES)
    assert got.labels == {"a.png": "0", "b.png": "1"} and got.rows == 2 and not got.report


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["image", "level"], ["x/a", "1"]], "no row names an image of the data set (the first one: x/a). Images are"),
        ([["image", "level"], ["a"]], "no row has a label (the first one: a). Columns are separated by commas or semi"),
        ([["image:level"], ["a:1"]], "no row has a label (the first one: image:level)"),
        ([["image", "level"]], "no image has a label. Begin with a row"),
    ],
)  # fmt: skip
def test_a_table_of_another_kind_is_told_in_one_line(rows, said):
    for on_bad in ("stop", "drop"):
        with pytest.raises(LabelsError) as error:
            labels(rows, ["x/b/a.png"] if "x/a" in str(rows) else IMAGES, on_bad=on_bad)
        assert said in str(error.value) and "\n" not in str(error.value)


BAD = [
    ["image", "level"],
    ["a", "1"],
    ["x.png", "0"],
    ["", "1"],
    ["c", "1"],
    ["b", "0"],
    ["b.png", "1"],
    ["b", "0"],
    ["c.png", ""],
    ["c.png", "NaN"],
    ["c.png"],
    ["c.png", "mild", "early"],
    ["c.png", "0|1"],
    ["c.png", "#REF!"],
    ["c.png", "two\nlines"],
    ["1.23457E+11", "1"],
    ["a.png", "01"],
]


def test_every_row_is_used_or_reported_with_its_line_and_why():
    got = found(BAD, on_bad="drop")
    assert got.labels == {"a.png": "1"}
    assert [(bad.line, bad.kind, bad.row, bad.why) for bad in got.report] == [
        (3, "no such image", "x.png,0", "there is no image x.png"),
        (4, "no such image", ",1", "it names no image"),
        (5, "ambiguous image", "c,1", "c could be c.jpg or c.png: write its folder and its suffix"),
        (6, "contradiction", "b,0", "b.png is 0 in line 6 and 1 in line 7"),
        (7, "contradiction", "b.png,1", "b.png is 0 in line 6 and 1 in line 7"),
        (8, "contradiction", "b,0", "b.png is 0 in line 6 and 1 in line 7"),
        (9, "missing label", "c.png,", "its label is blank"),
        (10, "missing label", "c.png,NaN", "its label is NaN"),
        (11, "malformed", "c.png", "it has too few cells"),
        (12, "malformed", "c.png,mild,early", "it has more cells than the first row: a cell with the separator in it needs quotes"),
        (13, "malformed", "c.png,0|1", "its label 0|1 has a | in it, which several labels need multi_label: true for"),
        (14, "malformed", "c.png,#REF!", "a formula failed: #REF!"),
        (15, "malformed", "c.png,two\nlines", "its label 'two\\nlines' has a line break or another control character in it"),
        (17, "no such image", "1.23457E+11,1", "there is no image 1.23457E+11: a spreadsheet has rounded this number"),
        (18, "duplicate", "a.png,01", "line 2 says the same"),
    ]  # fmt: skip
    assert got.counts == {
        "rows": 16,
        "used": 1,
        "reported": {
            "ambiguous image": 1, "contradiction": 3, "duplicate": 1, "malformed": 5, "missing label": 2, "no such image": 3,
        },
    }  # fmt: skip
    assert got.counts["rows"] == got.counts["used"] + sum(got.counts["reported"].values())
    assert got.notes[-2:] == (
        "1 rows of the labels repeat an image with the same label",
        "14 rows of the labels are left out: 1 ambiguous image, 3 contradiction, 5 malformed, 2 missing label, 3 no such image",
    )


def test_to_stop_counts_them_by_kind_and_has_the_whole_report():
    with pytest.raises(BadLabels) as error:
        found(BAD)
    assert str(error.value) == (
        "14 of 16 rows of the labels are bad: 1 ambiguous image, 3 contradiction, 5 malformed, 2 missing label, "
        "3 no such image (first: line 3, there is no image x.png). "
        "Mend these rows, or set on_bad_labels: drop, which leaves them out."
    )
    assert error.value.found.report == found(BAD, on_bad="drop").report


def test_a_first_row_that_is_no_header_is_never_lost():
    for first in (["x.png", "1"], ["eye7", "bad"], ["eye", "good"]):
        got = found([first, ["a.png", "good"]], on_bad="drop")
        assert [bad.line for bad in got.report] == [1] and got.rows == 2


def test_to_drop_every_row_is_refused():
    with pytest.raises(BadLabels, match="2 of 2 rows of the labels are bad: 2 contradiction") as refused:
        labels([["a", "1"], ["a", "2"]], ["a.png"], on_bad="drop")
    assert refused.value.remedy == "Mend these rows: without them no image has a label."


def test_rows_that_repeat_are_counted_in_one_note():
    rows = [["image", "level"], ["a", "1"], ["a", "1"], ["a.png", "1"], ["b", "0"]]
    assert labels(rows) == {"a.png": "1", "b.png": "0"}
    assert notes(rows) == ("2 rows of the labels repeat an image with the same label",)


def test_spellings_of_one_number_are_one_label():
    rows = [["image", "level"], ["a", "01"], ["b", "1"], ["c.png", "0"], ["c.jpg", "1.0"], ["a", "1"]]
    assert labels(rows) == {"a.png": "1", "b.png": "1", "c.png": "0", "c.jpg": "1"}
    assert notes(rows)[0] == "labels 01 and 1 and 1.0 are one number: 1"


def test_one_spelling_stays_as_it_is_and_words_are_told_apart():
    assert labels([["a.png", "01"], ["b.png", "02"]]) == {"a.png": "01", "b.png": "02"}
    rows = [["a.png", "Yes"], ["b.png", "yes"]]
    assert set(labels(rows).values()) == {"Yes", "yes"}
    assert notes(rows) == ("labels Yes and yes differ in case only, and are 2 classes",)


def test_numbers_with_a_point_are_whole_numbers():
    """Pandas writes them so where one was missing."""
    rows = [["a.png", "0.0"], ["b.png", "1.0"]]
    assert labels(rows) == {"a.png": "0", "b.png": "1"}
    assert notes(rows) == ("labels 0.0, 1.0 are read as whole numbers",)


@pytest.mark.parametrize(
    "rows",
    [
        [["image", "labels"], ["a", "sick|No sign"], ["b", "No sign"]],
        [["image", "labels"], ["a", "sick; No sign ;"], ["b", "No sign"]],
        [["image", "label"], ["a", "sick"], ["b", "No sign"], ["a", "No sign|"]],
        [["image", "sick", "No sign"], ["a", "1", "1"], ["b", "0", "1"]],
        [["image", "sick", "No sign"], ["a", "TRUE", "TRUE"], ["b", "FALSE", "TRUE"]],
    ],
)
def test_several_labels_of_an_image(rows):
    got = found(rows, multi_label=True)
    assert got.labels == {"a.png": "No sign|sick", "b.png": "No sign"} and not got.report


def test_blanks_separate_labels_where_nothing_else_does():
    assert labels([["image", "labels"], ["a", "3 1 2 1"], ["b", "01"]], multi_label=True) == {
        "a.png": "1|2|3",
        "b.png": "1",
    }
    assert labels([["image", "label"], ["a", "3"], ["a", "1"]], multi_label=True) == {"a.png": "1|3"}


def test_bad_rows_of_several_labels():
    rows = [
        ["image", "labels"],
        ["a", "1 2"],
        ["a", "2"],
        ["b", "['1', '2']"],
        ["b", "mild, early"],
        ["b", " ; "],
    ]
    got = found(rows[:-1], multi_label=True, on_bad="drop")
    assert [(bad.line, bad.kind, bad.why) for bad in got.report] == [
        (3, "duplicate", "rows above say the same"),
        (4, "malformed", "its labels are a list as programs print it: write them with | between them"),
        (5, "malformed", "commas separate its labels: write | between them"),
    ]
    got = found([rows[0], ["a", "1"], rows[-1]], multi_label=True, on_bad="drop")
    assert [(bad.kind, bad.why) for bad in got.report] == [("missing label", "its label is ;")]


def test_bad_rows_of_columns_of_classes():
    rows = [
        ["image", "x", "y"],
        ["a", "1", "0"],
        ["a", "0", "1"],
        ["b", "0", "0"],
        ["b", "maybe", "1"],
        ["b", "", "1"],
        ["b", "0", "1"],
        ["b", "0", "1"],
    ]
    got = found(rows, multi_label=True, on_bad="drop")
    assert got.labels == {"b.png": "y"}
    assert [(bad.line, bad.kind, bad.why) for bad in got.report] == [
        (2, "contradiction", "a.png is x in line 2 and y in line 3"),
        (3, "contradiction", "a.png is x in line 2 and y in line 3"),
        (4, "missing label", "no class of it is 1"),
        (5, "malformed", "maybe in column x is neither 0 nor 1"),
        (6, "malformed", "nothing in column x is neither 0 nor 1"),
        (8, "duplicate", "line 7 says the same"),
    ]
