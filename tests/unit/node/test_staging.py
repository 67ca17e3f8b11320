"""muster-stage against a store and a NameNode on loopback."""

from __future__ import annotations

import hashlib
import json

import pytest

from muster_node import staging
from tests.fakes.servers import HdfsHandler, Server, StoreHandler

CONTENTS = [f"part {number}".encode() * (number + 1) for number in range(7)]


@pytest.fixture
def store():
    server = Server(StoreHandler)
    publish(server, "train_16", CONTENTS)
    publish(server, "holdout_16", CONTENTS[:2])
    yield server
    server.shutdown()


@pytest.fixture
def hdfs():
    server = Server(HdfsHandler)
    yield server
    server.shutdown()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def publish(server: Server, name: str, contents: list[bytes]) -> None:
    objects = []
    for number, content in enumerate(contents):
        key = f"digits/{name}/part-{number:05d}.csv.gz"
        server.files[f"/muster/{key}"] = content
        digest = hashlib.sha256(content).hexdigest()
        objects.append({"key": key, "bytes": len(content), "sha256": digest, "rows": 1})
    server.files[f"/muster/digits/{name}/manifest.json"] = json.dumps(
        {"rows": 1, "objects": objects}
    ).encode()


@pytest.fixture
def run(store, hdfs, tmp_path, monkeypatch, capsys):
    """Runs the program; returns (status, its JSON, its last error line)."""
    settings = tmp_path / "store.json"
    known = {"endpoint": store.url, "access_key": "a:b", "secret_key": "s", "container": "muster"}
    settings.write_text(json.dumps(known))

    def call(verb: str, index: int = 0, count: int = 1, size: int = 16):
        words = f"muster-stage {verb} --dataset digits --size {size} --namenode {hdfs.url} --index {index}"
        words += f" --count {count} --progress {tmp_path / 'progress'} --settings {settings}"
        monkeypatch.setattr("sys.argv", words.split())
        status = staging.main()
        output = capsys.readouterr()
        answer = json.loads(output.out) if output.out else {}
        return status, answer, output.err.strip()

    return call


def staged(hdfs: Server, name: str = "train_16") -> list[bytes]:
    prefix = f"/datasets/digits/{name}/part-"
    return [content for path, content in sorted(hdfs.files.items()) if path.startswith(prefix)]


def test_every_node_fetches_its_share_then_one_publishes(run, hdfs):
    for index in range(3):
        status, answer, _ = run("fetch", index, 3)
        assert status == 0 and answer["changed"] and not answer["complete"]
        assert staged(hdfs) == [], "nobody sees half a set"
    assert run("publish")[1]["published"] == ["holdout_16", "train_16"]
    assert staged(hdfs) == CONTENTS and staged(hdfs, "holdout_16") == CONTENTS[:2]
    assert run("fetch", 0, 3)[1] == {"changed": False, "complete": True, "objects": 0, "bytes": 0}
    assert run("publish")[1]["changed"] is False


def test_publish_refuses_a_set_that_is_not_whole(run):
    run("fetch", 0, 3)
    status, _, error = run("publish")
    assert status == 1 and "objects of" in error and "not in HDFS yet" in error


def test_a_file_that_vanished_is_fetched_again_alone(run, hdfs):
    run("fetch")
    run("publish")
    del hdfs.files["/datasets/digits/train_16/part-00003.csv.gz"]
    status, answer, _ = run("fetch")
    assert (status, answer["objects"], answer["complete"]) == (0, 1, True)
    assert staged(hdfs) == CONTENTS


def test_a_set_that_was_made_anew_replaces_the_old_one(run, store, hdfs):
    run("fetch")
    run("publish")
    changed = [content[::-1] for content in CONTENTS[:4]]
    publish(store, "train_16", changed)
    run("fetch")
    assert staged(hdfs) == CONTENTS, "the old set stays until the new one is whole"
    run("publish")
    assert staged(hdfs) == changed


def test_the_store_goes_down_and_the_next_run_goes_on(run, store, hdfs):
    store.fails_after = len(store.requests) + 6
    status, _, error = run("fetch")
    assert status == 1 and "does not answer" in error and "goes on from there" in error
    assert "\n" not in error
    there = len(hdfs.files)
    assert 0 < there < 9
    store.fails_after = None
    assert run("fetch")[1]["objects"] == 9 - there
    run("publish")
    assert staged(hdfs) == CONTENTS


def test_a_damaged_object_never_reaches_hdfs(run, store, hdfs):
    store.files["/muster/digits/train_16/part-00002.csv.gz"] = b"x" * len(CONTENTS[2])
    status, _, error = run("fetch")
    assert status == 1 and "part-00002.csv.gz in the object store is damaged" in error
    assert not any("part-00002" in name for name in hdfs.files)


def test_no_room_is_said_before_anything_is_written(run, hdfs):
    hdfs.room = 10
    status, _, error = run("fetch")
    assert status == 1 and "HDFS has no room" in error and not hdfs.files


def test_a_missing_set_names_the_sizes_that_exist(run, store):
    store.files["/muster/digits/raw/labels.csv"] = b"image,label\n"
    status, answer, error = run("fetch", size=64)
    assert status == 3 and answer == {"missing": True, "changed": False, "sizes": [16], "raw": True}
    assert error.endswith("no digits at 64 pixels (sizes that exist: 16)")


def test_a_node_without_hdfs_has_the_set_in_a_folder(store, tmp_path, monkeypatch, capsys):
    settings = tmp_path / "store.json"
    known = {"endpoint": store.url, "access_key": "a:b", "secret_key": "s", "container": "muster"}
    settings.write_text(json.dumps(known))
    words = f"muster-stage fetch --dataset digits --size 16 --folder {tmp_path} --settings {settings}"

    def call() -> dict:
        monkeypatch.setattr("sys.argv", words.split())
        assert staging.main() == 0
        return json.loads(capsys.readouterr().out)

    folder = tmp_path / "datasets" / "digits" / "train_16"
    assert call()["complete"]
    assert [(folder / f"part-{number:05d}.csv.gz").read_bytes() for number in range(7)] == CONTENTS
    assert call() == {"changed": False, "complete": True, "objects": 0, "bytes": 0}
    (folder / "part-00003.csv.gz").unlink()
    assert call()["objects"] == 1
    changed = [content[::-1] for content in CONTENTS[:4]]
    publish(store, "train_16", changed)
    assert call()["complete"]
    assert len(list(folder.glob("part-*"))) == 4
    assert {path.name for path in folder.parent.iterdir()} == {"train_16", "holdout_16"}
