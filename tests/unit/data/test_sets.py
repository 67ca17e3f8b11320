from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from provision.core.errors import StoreError
from provision.data.labels import match, scan
from provision.data.sets import DatasetError, remove_from, sets_in, upload
from provision.data.stores.base import StoredObject


class Memory:
    """An object store in memory; fails after some writes when asked to."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.written: list[str] = []
        self.fails_after: int | None = None

    def objects(self, prefix=""):
        for key, data in sorted(self.content.items()):
            if key.startswith(prefix):
                yield StoredObject(key, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())

    def read(self, key):
        return self.content[key]

    def write(self, key, content):
        if self.fails_after is not None and len(self.written) >= self.fails_after:
            raise StoreError(what="down")
        self.written.append(key)
        self.content[key] = content if isinstance(content, bytes) else content.read_bytes()

    def remove(self, keys):
        for key in keys:
            self.content.pop(key, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        (tmp_path / f"{number}_left.jpeg").write_bytes(b"%d" % number * (300_000 if number < 3 else 10))
    (tmp_path / "labels.csv").write_text("image,level\n" + "".join(f"{n}_left,{n % 2}\n" for n in range(5)))
    return tmp_path


def quiet(_text: str) -> None:
    return


def test_large_images_are_objects_and_small_ones_lie_in_packs(folder):
    store = Memory()
    done = upload(store, "eyes", scan(folder), quiet)
    assert (done.images, done.sent, done.kept, done.unlabelled) == (6, 4, 0, 1)
    assert sorted(key for key in store.content if "/images/" in key) == [
        f"eyes/raw/images/{n}_left.jpeg" for n in range(3)
    ]
    packs = json.loads(store.content["eyes/raw/packs.json"])
    ((key, names),) = packs.items()
    assert names == ["3_left.jpeg", "4_left.jpeg", "5_left.jpeg"]
    with tarfile.open(fileobj=io.BytesIO(store.content[key])) as archive:
        assert archive.extractfile("4_left.jpeg").read() == b"4" * 10
    assert store.content["eyes/raw/labels.csv"].decode().splitlines()[:2] == ["image,label", "0_left.jpeg,0"]
    assert store.written[-1] == "eyes/raw/labels.csv"


def test_an_upload_goes_on_where_it_stopped(folder):
    store = Memory()
    store.fails_after = 2
    with pytest.raises(StoreError):
        upload(store, "eyes", scan(folder), quiet)
    assert "eyes/raw/labels.csv" not in store.content
    store.fails_after = None
    done = upload(store, "eyes", scan(folder), quiet)
    assert (done.sent, done.kept) == (2, 2)


def test_a_pack_of_former_files_is_removed(folder):
    store = Memory()
    upload(store, "eyes", scan(folder), quiet)
    (folder / "3_left.jpeg").write_bytes(b"new")
    upload(store, "eyes", scan(folder), quiet)
    assert len([key for key in store.content if key.endswith(".tar")]) == 1


def test_sets_are_listed_and_removed(folder):
    store = Memory()
    upload(store, "eyes", scan(folder), quiet)
    store.content["eyes/train_16/part-00000.csv.gz"] = b"x"
    store.content["eyes/train_16/manifest.json"] = b'{"rows": 5}'
    found = {entry["name"]: entry["rows"] for entry in sets_in(store)}
    assert found == {"eyes/raw": 6, "eyes/train_16": 5}
    assert remove_from(store, "eyes/train_16") == 2
    with pytest.raises(DatasetError, match="no such data"):
        remove_from(store, "eyes/train_16")
    assert remove_from(store, "eyes") > 0 and not store.content


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["image", "level"], ["a", "1"], ["x", "0"], ["y", "0"]], "2 of 3 labels have no image (first: x)"),
        ([["image", "level"], ["a"]], "a row has no label: 'a'"),
        ([["image", "level"], ["a", "1"], ["a.png", "2"]], "a.png has two labels"),
        ([["image", "level"], ["c", "1"]], "c could be c.jpg or c.png"),
        ([["image", "level"], ["a", ""]], "no image has a label"),
        ([], "no image has a label"),
    ],
)
def test_wrong_labels_are_told_in_one_line(rows, said):
    with pytest.raises(DatasetError) as error:
        match(rows, ["a.png", "b.png", "c.jpg", "c.png"], "labels.csv")
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "rows",
    [
        [["image", "level"], ["a", "1"]],
        [["a.png", "1"]],
        [["file", "grade"], ["a", "1"]],
        [["level", "image"], ["1", "a"]],
    ],
)
def test_columns_are_found(rows):
    assert match(rows, ["a.png", "b.png"], "labels.csv") == {"a.png": "1"}


def test_wrong_folders_are_told_in_one_line(folder, tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        scan(tmp_path / "none")
    with pytest.raises(DatasetError, match="labels file does not exist"):
        scan(folder, "other.csv")
    (folder / "labels.csv").rename(folder / "a.csv")
    assert len(scan(folder).labels) == 5
    (folder / "b.csv").write_text("")
    with pytest.raises(DatasetError, match="There are 2 CSV files"):
        scan(folder)
    for image in folder.glob("*.jpeg"):
        image.unlink()
    with pytest.raises(DatasetError, match="no images"):
        scan(folder)
