"""One part: all its sizes, what is left out, and that one bad image costs only itself."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import parts
import pytest
from decoding import MIB
from masters import masters_of
from parts import make_part
from PIL import Image as Picture
from pyarrow import parquet
from tasks import Image, Job, Options, Task

from muster_node import sets
from muster_node.stores.base import Settings
from tests.fakes.servers import Server, StoreHandler

JOB = Job(Options("eyes", channels=1), {"0": 0}, {"eyes/raw/packs/1.tar": 10240}, {}, {}, 8 * MIB)


def png(side: int) -> bytes:
    buffer = io.BytesIO()
    Picture.linear_gradient("L").resize((side, side)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    server = Server(StoreHandler)
    known = {"endpoint": server.url, "access_key": "a:b", "secret_key": "s", "container": "muster"}
    (tmp_path / "store.json").write_text(json.dumps(known))
    settings = Settings.load(tmp_path / "store.json")
    monkeypatch.setattr(parts.Settings, "load", lambda: settings)
    yield server
    server.shutdown()


def test_a_bad_image_and_a_large_one_cost_only_themselves(store):
    names = ["a.png", "Doe, Jane.png", "left/1.png", "wide.png", "web.png", "huge.png", "gone.png"]
    content = {name: png(20) for name in names} | {"wide.png": png(3000), "web.png": b"<html>"}
    pack = io.BytesIO()
    with tarfile.open(fileobj=pack, mode="w") as archive:
        entry = tarfile.TarInfo("left/1.png")
        entry.size = len(content["left/1.png"])
        archive.addfile(entry, io.BytesIO(content["left/1.png"]))
    store.files["/muster/eyes/raw/packs/1.tar"] = pack.getvalue()
    for name in set(names) - {"left/1.png", "huge.png", "gone.png"}:
        store.files[f"/muster/{sets.image_key('eyes', name)}"] = content[name]
    images = [Image(name, bytes=9 * MIB if name == "huge.png" else len(content[name])) for name in names]
    images[2] = Image("left/1.png", pack="eyes/raw/packs/1.tar")
    (made,) = make_part(Task(sets.TEST, 0, (16,), tuple(images)), JOB)
    csv_file = store.files[f"/muster/{made.files[0].key}"]
    rows = list(csv.reader(io.StringIO(gzip.decompress(csv_file).decode())))
    assert [row[0] for row in rows] == ["a.png", "Doe, Jane.png", "left/1.png"]
    assert {len(row) for row in rows} == {1 + 16 * 16}
    assert {entry["image"]: entry["reason"] for entry in made.skipped} == {
        "huge.png": "a file of 9 MiB, a task has 6",
        "wide.png": "3000 x 3000 pixels need 9 MiB of memory, a task here has 6",
        "web.png": "no picture format that is known: it looks like a web page",
        "gone.png": "the object store lists it, but does not have it",
    }
    assert not any("huge.png" in request for request in store.requests), "it was not even fetched"


def test_all_sizes_come_from_one_fetch(store):
    store.files[f"/muster/{sets.image_key('eyes', 'a.png')}"] = png(300)
    task = Task(sets.TRAIN, 3, (16, 64), (Image("a.png", "0", "a"),))
    made = make_part(task, JOB)
    assert sum("raw/images/a.png" in request for request in store.requests) == 1
    assert [(each.size, each.rows, each.labels) for each in made] == [(16, 1, {"0": 1}), (64, 1, {"0": 1})]
    for each in made:
        keys = [file.key for file in each.files]
        folder = f"eyes/train_{each.size}"
        assert keys == [f"{folder}/part-00003.csv.gz", f"{folder}/part-00003.parquet"]
        table = parquet.read_table(io.BytesIO(store.files[f"/muster/{keys[1]}"]))
        assert table["label"].to_pylist() == [0]
        assert Picture.open(io.BytesIO(table["image"][0].as_py())).size == (each.size, each.size)


def test_a_part_without_a_whole_image_has_no_files(store):
    store.files[f"/muster/{sets.image_key('eyes', 'a.png')}"] = b"<html>"
    (made,) = make_part(Task(sets.TEST, 0, (16,), (Image("a.png", bytes=6),)), JOB)
    assert made.rows == 0 and not made.files and not any("part-" in key for key in store.files)


def test_training_pictures_are_turned_and_mirrored(store):
    store.files[f"/muster/{sets.image_key('eyes', 'a.png')}"] = png(64)
    job = replace(JOB, options=replace(JOB.options, augment=True))
    (made,) = make_part(Task(sets.TRAIN, 0, (16,), (Image("a.png", "0", "a"),)), job)
    assert (made.rows, made.labels, made.images) == (8, {"0": 1}, 1)
    table = parquet.read_table(io.BytesIO(store.files[f"/muster/{made.files[1].key}"]))
    turns = [f"@{mirror}r{degrees}" for mirror in ("", "m_") for degrees in (0, 90, 180, 270)]
    assert table["id"].to_pylist() == ["a.png", *(f"a.png{turn}" for turn in turns[1:])]
    assert set(table["subject"].to_pylist()) == {"a"}
    (made,) = make_part(Task(sets.HOLDOUT, 0, (16,), (Image("a.png", "0", "a"),)), job)
    assert made.rows == 1


def test_an_intermediate_is_found_in_its_archive(store):
    names = ["a.png", "web.png", "left/b.png"]
    for name in names:
        content = b"<html>" if name == "web.png" else png(1500)
        store.files[f"/muster/{sets.image_key('eyes', name)}"] = content
    task = Task(sets.TEST, 0, (16, sets.MASTER), tuple(Image(name) for name in names))
    _, made = make_part(task, replace(JOB, memory=64 * MIB))
    archive = store.files[f"/muster/{made.files[0].key}"]
    with tarfile.open(fileobj=io.BytesIO(archive)) as masters:
        assert masters.getnames() == ["a.png", "left/b.png"]
    for start, length in made.places.values():
        assert Picture.open(io.BytesIO(archive[start : start + length])).size == (1024, 1024)
    later = list(masters_of(task, made))
    assert [image.reason[:10] for image in later] == ["", "no picture", ""]
    again = Task(sets.TEST, 0, (32,), tuple(later))
    (made,) = make_part(again, replace(JOB, cropped=True))
    assert made.rows == 2 and [entry["image"] for entry in made.skipped] == ["web.png"]
    assert not any(
        "raw/images" in request for request in store.requests[len(names) + 1 :] if "GET" in request
    )
