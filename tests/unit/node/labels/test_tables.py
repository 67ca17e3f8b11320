"""Tables as spreadsheets and programs write them."""

from __future__ import annotations

import codecs
import csv
import gzip
import io

import pytest

from muster_node.labels.report import LabelsError
from muster_node.labels.tables import parse_table

ROWS = [["image", "level"], ["a.png", "mild, early"], ["b.png", "none"]]


def table(content: bytes | str):
    return parse_table(
        content.encode() if isinstance(content, str) else content, lambda cell: cell.endswith(".png")
    )


def cells(content: bytes | str) -> list[list[str]]:
    return [row.cells for row in table(content).rows]


QUOTED = 'image,level\na.png,"mild, early"\nb.png,none\n'


@pytest.mark.parametrize(
    "content",
    [
        QUOTED,
        codecs.BOM_UTF8 + QUOTED.encode(),
        QUOTED.replace("\n", "\r\n") + "\r\n,\r\n",
        QUOTED.replace("\n", "\r"),
        '"image","level"\n"a.png","mild, early"\n"b.png","none"\n',
        ' image , level \n a.png ,"mild, early"\nb.png, none ',
        "image;level\na.png;mild, early\nb.png;none\n",
        "sep=;\nimage;level\na.png;mild, early\nb.png;none\n",
        "image|level\na.png|mild, early\nb.png|none\n",
        "image\tlevel\na.png\tmild, early\nb.png\tnone\n",
        "image\tlevel\r\na.png\tmild, early\r\nb.png\tnone\r\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + QUOTED.encode("utf-16-be"),
        QUOTED.encode("utf-32"),
        "'image','level'\n'a.png','mild, early'\n'b.png','none'\n",
    ],
)
def test_any_dialect_gives_the_same_rows(content):
    found = table(content)
    assert [row.cells for row in found.rows] == ROWS and not found.notes


def test_commas_in_labels_do_not_win_over_the_separator():
    assert cells("a.png;x, y\nb.png;z, w\n") == [["a.png", "x, y"], ["b.png", "z, w"]]
    assert cells("a.png,x; y\nb.png,z; w\n") == [["a.png", "x; y"], ["b.png", "z; w"]]


def test_a_legacy_encoding_is_read_and_told():
    found = table("image,level\na.png,geprüft\n".encode("cp1252"))
    assert found.rows[1].cells == ["a.png", "geprüft"]
    assert found.notes == ("the labels are not UTF-8; they are read as Windows-1252 (western European)",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\3\4whatever", "a workbook of Excel or LibreOffice. Save them as"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old workbook of Excel"),
        (gzip.compress(QUOTED.encode(), mtime=0), "compressed with gzip"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"%PDF-1.7", "a PDF"),
        (b"\n<!DOCTYPE html>", "a page of HTML"),
        (b'[{"image": "a.png", "level": 0}]', "JSON"),
        (QUOTED.encode("utf-16-le"), "UTF-16 without the mark that says so. Save them as"),
        (QUOTED.encode("utf-16-be"), "UTF-16 without the mark that says so"),
        (b"\0\1\0\0\2", "no text file. Save them as"),
        (b"a.png,\x81\n", "neither UTF-8 nor Windows-1252: "),
        (codecs.BOM_UTF8 + b"a.png,\xff\n", "not UTF-8-SIG, which their mark says"),
        (
            'b.png,1\n"a.png,0\n',
            "the labels cannot be read: line 2: unexpected end of data. A cell that begins",
        ),
        ('"say \\"ah\\".png",0\n', "line 1: ',' expected after '\"'. A cell that begins"),
    ],
)
def test_what_is_no_table_is_told_in_one_line(content, said):
    with pytest.raises(LabelsError) as error:
        table(content)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_rows_know_the_line_that_they_begin_in():
    found = table('sep=;\r\n\r\nimage;level\r\n;\r\na.png;"two\r\nlines"\r\nb.png;0\r\n')
    assert [row.line for row in found.rows] == [3, 5, 7] and found.rows[1].cells == ["a.png", "two\nlines"]


def test_lines_of_comment_before_the_table_are_told():
    found = table("# made by export 3\n# eyes, 2026\nimage,level\na.png,0\n")
    assert found.rows[0].cells == ["image", "level"]
    assert found.notes == ("2 lines before the labels begin with # and are passed over",)
    assert cells("#1.png,0\n#2.png,1\n") == [["#1.png", "0"], ["#2.png", "1"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_the_csv_module_writes_is_read(delimiter, quoting, end, encoding):
    rows = [["image", "level"], ["a;1.png", 'say "ah", twice'], ["b|2.png", "none"], ["ü\t3.png", "x; y | z"]]
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    assert cells(buffer.getvalue().encode(encoding)) == rows


def test_a_mark_may_stand_twice():
    assert cells(codecs.BOM_UTF8 * 2 + QUOTED.encode()) == ROWS


def test_wrong_quotes_are_named_though_another_separator_would_read_the_file():
    """With semicolons it is a table of one column, of which nobody meant anything."""
    with pytest.raises(LabelsError, match="the labels cannot be read: line 2: "):
        table('image,level,remark\na.png,1,"left" eye\nb.png,0,right\n')
