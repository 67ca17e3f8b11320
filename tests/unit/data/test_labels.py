"""What of a folder is data, and what is said about the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provision.core.errors import DatasetError
from provision.data.labels import scan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number in range(6):
        (tmp_path / "photos" / f"{number}_left.jpeg").write_bytes(b"x")
    (tmp_path / "labels.csv").write_text("image,level\n" + "".join(f"{n}_left,{n % 2}\n" for n in range(5)))
    return tmp_path


def test_wrong_folders_are_told_in_one_line(folder, tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        scan(tmp_path / "none")
    with pytest.raises(DatasetError, match="labels file does not exist"):
        scan(folder, "other.csv")
    (folder / "labels.csv").rename(folder / "a.CSV")
    assert len(scan(folder).labels) == 5
    (folder / "b.csv").write_text("")
    with pytest.raises(DatasetError, match="There are 2 CSV files"):
        scan(folder)
    for image in folder.rglob("*.jpeg"):
        image.unlink()
    with pytest.raises(DatasetError, match="no images"):
        scan(folder)


@pytest.mark.parametrize(
    "litter",
    [
        "__MACOSX/photos/._0_left.jpeg",
        "photos/._0_left.jpeg",
        "photos/.thumbnails/0_left.png",
        "photos/@eaDir/0_left.jpeg/thumb.jpg",
        "$RECYCLE.BIN/old.png",
        "._labels.csv",
    ],
)
def test_what_systems_add_is_no_data(folder, litter):
    before = scan(folder)
    (folder / litter).parent.mkdir(parents=True, exist_ok=True)
    (folder / litter).write_bytes(b"\0\5\x16\7" + bytes(4000))
    (folder / "photos/.DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "labels.csv").rename(folder / "my labels.csv")
    found = scan(folder)
    assert (found.images, found.labels) == (before.images, before.labels)
    assert found.notes == ("1 hidden files and companions of other systems are left aside", *before.notes)


def test_a_folder_that_is_hidden_itself_is_data(folder):
    hidden = folder.parent / ".hidden"
    folder.rename(hidden)
    assert len(scan(hidden).images) == 6


def test_rows_that_are_not_used_are_listed_in_a_file(folder):
    report = folder / "report.csv"
    scan(folder, report=report)
    assert not report.exists()
    with (folder / "labels.csv").open("a") as table:
        table.write("0_left,1\nx,0\n3_left,1\n")
    with pytest.raises(DatasetError) as error:
        scan(folder, report=report)
    assert str(error.value) == (
        f"{folder}/labels.csv: 3 of 8 rows of the labels are bad: 2 contradiction, 1 no such image (first: line 2, "
        f"photos/0_left.jpeg is 0 in line 2 and 1 in line 7). All are listed in {report}. "
        "Mend these rows, or set on_bad_labels: drop, which leaves them out."
    )
    listed = report.read_text()
    assert listed.splitlines() == [
        "line,kind,row,why",
        '2,contradiction,"0_left,0",photos/0_left.jpeg is 0 in line 2 and 1 in line 7',
        '7,contradiction,"0_left,1",photos/0_left.jpeg is 0 in line 2 and 1 in line 7',
        '8,no such image,"x,0",there is no image x',
        '9,duplicate,"3_left,1",line 5 says the same',
    ]
    report.unlink()
    found = scan(folder, on_bad="drop", report=report)
    assert report.read_text() == listed == found.read.report_csv()
    assert sorted(found.labels) == [f"photos/{number}_left.jpeg" for number in range(1, 5)]
    assert found.notes == (
        "1 rows of the labels repeat an image with the same label",
        "3 rows of the labels are left out: 2 contradiction, 1 no such image",
        f"rows of the labels that are not used are listed in {report}",
        "2 of 6 images have no label: they become the test set",
    )


def test_labels_that_cannot_be_opened_or_read_are_told(folder):
    (folder / "labels.csv").write_bytes(b"PK\3\4")
    with pytest.raises(
        DatasetError, match=f"^{folder}/labels.csv: the labels are a workbook of Excel or Libre"
    ):
        scan(folder)


def test_images_may_have_several_labels(folder):
    (folder / "labels.csv").write_text("image,labels\n0_left,2 1\n1_left,1\n")
    found = scan(folder, multi_label=True)
    assert found.labels_csv() == "image,label\nphotos/0_left.jpeg,1|2\nphotos/1_left.jpeg,1\n"


def test_images_without_a_label_are_counted(folder):
    found = scan(folder)
    assert found.unlabelled == ["photos/5_left.jpeg"]
    assert found.notes == ("1 of 6 images have no label: they become the test set",)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (b"two\nlines.png", "has a line break"),
        (b"two\xe2\x80\xa8lines.png", "line break"),
        (b"\xff.png", "not UTF-8"),
    ],
)
def test_names_that_cannot_be_the_id_of_a_row_are_refused(folder, name, said):
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"x")
    with pytest.raises(DatasetError, match=said) as error:
        scan(folder)
    str(error.value).encode()


def test_odd_names_are_fine(folder):
    for name in (
        "Doe, Jane.png",
        " lead.png",
        "at\xa03.png",
        "at\u202f5 PM.png",
        "\u773c.png",
        'say "ah".png',
    ):
        (folder / name).write_bytes(b"x")
    assert len(scan(folder).images) == 12
