from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from muster_node.stores.base import Stored
from provision.core.errors import StoreError
from provision.data.labels import scan
from provision.data.sets import DatasetError, remove_from, sets_in, upload


class Memory:
    """An object store in memory; fails after some writes when asked to."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.written: list[str] = []
        self.fails_after: int | None = None

    def objects(self, prefix=""):
        for key, data in sorted(self.content.items()):
            if key.startswith(prefix):
                yield Stored(key, len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())

    def get(self, key):
        return self.content[key]

    def upload(self, key, source, size):
        content = source.read()
        assert len(content) == size
        self.put(key, content)

    def put(self, key, content):
        if self.fails_after is not None and len(self.written) >= self.fails_after:
            raise StoreError(what="down")
        self.written.append(key)
        self.content[key] = content

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
    assert (done.images, done.sent, done.kept) == (6, 4, 0)
    assert done.notes == ("1 of 6 images have no label: they become the test set",)
    assert json.loads(store.content["eyes/raw/label_counts.json"]) == {"rows": 5, "used": 5, "reported": {}}
    assert store.content["eyes/raw/label_report.csv"] == b"line,kind,row,why\n"
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


def test_an_image_that_left_the_folder_before_all_was_sent_is_removed(folder):
    store = Memory()
    store.fails_after = 3
    with pytest.raises(StoreError):
        upload(store, "eyes", scan(folder), quiet)
    assert "eyes/raw/images/0_left.jpeg" in store.content
    (folder / "0_left.jpeg").unlink()
    store.fails_after = None
    (folder / "labels.csv").write_text("image,level\n1_left,1\n")
    upload(store, "eyes", scan(folder), quiet)
    assert "eyes/raw/images/0_left.jpeg" not in store.content


def test_what_says_that_there_is_something_is_removed_first():
    store = Memory()
    asked: list[list[str]] = []
    store.remove = asked.append
    marks = ["eyes/masters/index.json", "eyes/raw/labels.csv", "eyes/train_16/manifest.json"]
    others = ["eyes/masters/train/part-00000.tar", "eyes/raw/packs.json", "eyes/train_16/part-00000.csv.gz"]
    store.content = dict.fromkeys([*marks, *others], b"{}")
    remove_from(store, "eyes")
    assert asked == [marks, others]


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
