"""A folder that changed after it was sent is noticed, and nothing else is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from provision.core.errors import DatasetError
from provision.data.fingerprint import fingerprint, require_unchanged
from provision.data.labels import scan
from provision.data.sets import upload
from tests.unit.data.test_sets import Memory, quiet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "eyes"
    made.mkdir()
    for number in range(3):
        (made / f"{number}.png").write_bytes(b"x" * (number + 1))
    (made / "labels.csv").write_text("image,level\n0,0\n1,1\n")
    return made


def test_what_was_sent_says_of_which_folder_it_is(folder):
    store = Memory()
    upload(store, "eyes", scan(folder), quiet)
    assert json.loads(store.content["eyes/raw/source.json"]) == fingerprint(scan(folder))
    assert store.written[-1] == "eyes/raw/labels.csv", "raw data is complete once its labels are there"


def test_the_same_folder_is_unchanged(folder):
    sent = fingerprint(scan(folder))
    require_unchanged("eyes", folder, "", sent)
    (folder / "notes.txt").write_text("more")
    (folder / ".DS_Store").write_text("more")
    (folder / "labels.csv").write_text('"image";"level"\r\n"1.png";"1"\r\n"0.png";"0"\r\n')
    moved = folder.rename(folder.with_name("moved"))
    require_unchanged("eyes", moved, "", sent)


def change_labels(folder: Path) -> None:
    (folder / "labels.csv").write_text("image,level\n0,1\n1,0\n")


def add_an_image(folder: Path) -> None:
    (folder / "3.png").write_bytes(b"x")


def replace_an_image(folder: Path) -> None:
    (folder / "0.png").write_bytes(b"longer")


def rename_an_image(folder: Path) -> None:
    (folder / "2.png").rename(folder / "4.png")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_labels, "other labels"),
        (add_an_image, "3 images then, 4 now"),
        (replace_an_image, "other names or sizes of images"),
        (rename_an_image, "other names or sizes of images"),
    ],
)
def test_a_changed_folder_is_told_with_how_to_go_on(folder, change, said):
    sent = fingerprint(scan(folder))
    change(folder)
    with pytest.raises(DatasetError) as error:
        require_unchanged("eyes", folder, "", sent)
    text = str(error.value)
    assert text.startswith(f"{folder}: is not what was sent to the object store as eyes ({said}). To use it")
    assert "./muster data rm eyes, then main.yml" in text and "\n" not in text


def test_a_source_that_is_gone_is_no_longer_needed(folder):
    sent = fingerprint(scan(folder))
    for image in folder.glob("*.png"):
        image.unlink()
    require_unchanged("eyes", folder, "", sent)
    shutil.rmtree(folder)
    require_unchanged("eyes", folder, "", sent)


def test_rows_that_give_no_label_change_nothing(folder):
    sent = fingerprint(scan(folder))
    with (folder / "labels.csv").open("a") as table:
        table.write("stranger,1\n")
    require_unchanged("eyes", folder, "", sent)


def test_what_was_sent_without_a_fingerprint_cannot_be_compared(folder):
    require_unchanged("eyes", folder, "", {})
