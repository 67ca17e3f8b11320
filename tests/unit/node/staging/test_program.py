"""muster-stage against a store and a NameNode on loopback."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest

from muster_node.staging import plan, program
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

    def call(verb: str, index: int = 0, count: int = 1, size: int = 16, *more: str):
        words = f"muster-stage {verb} --dataset digits --size {size} --namenode {hdfs.url} --index {index}"
        words += f" --count {count} --progress {tmp_path / 'progress'} --settings {settings}"
        monkeypatch.setattr("sys.argv", [*words.split(), *more])
        status = program.main()
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
    assert status == 1 and "files of" in error and "not in HDFS yet" in error


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
    there = len([name for name in hdfs.files if "_coming" not in name])
    assert 0 < there < 9
    store.fails_after = None
    assert run("fetch")[1]["objects"] == 9 - there
    run("publish")
    assert staged(hdfs) == CONTENTS


def test_a_damaged_object_never_reaches_hdfs(run, store, hdfs):
    store.files["/muster/digits/train_16/part-00002.csv.gz"] = b"x" * len(CONTENTS[2])
    status, _, error = run("fetch")
    assert status == 1 and "part-00002.csv.gz in the object store is damaged" in error
    assert not any("part-00002" in name and "_coming" not in name for name in hdfs.files)


def test_a_large_object_is_fetched_in_ranges_by_all_nodes(run, store, hdfs, monkeypatch):
    monkeypatch.setattr(plan, "RANGE_BYTES", 10)
    large = bytes(range(256))
    publish(store, "train_16", [large, b"small"])
    shares = [run("fetch", index, 3)[1] for index in range(3)]
    assert [share["bytes"] for share in shares] == [95, 92, 92]
    assert not any(share["complete"] for share in shares), "they are to be put together"
    asked = [line for line in store.requests if line.startswith("GET") and "part-00000" in line]
    assert len(asked) >= 26
    assert run("publish")[1]["published"] == ["holdout_16", "train_16"]
    assert staged(hdfs) == [large, b"small"]
    assert not any("_ranges" in name or "_coming" in name for name in hdfs.files)
    assert run("fetch")[1]["complete"] is True


def test_every_node_joins_its_share_of_the_large_objects_and_publish_what_is_left(
    run, store, hdfs, monkeypatch
):
    monkeypatch.setattr(plan, "RANGE_BYTES", 50)
    large = [bytes([number]) * 200 for number in range(4)]
    publish(store, "train_16", [*large, b"small"])
    assert run("fetch", 0, 3)[1]["ranges"]
    status, _, error = run("join", 0, 3)
    assert status == 1 and "not in HDFS yet" in error
    assert run("fetch", 1, 3)[1]["ranges"] and run("fetch", 2, 3)[1]["ranges"]
    assert run("join", 0, 3)[1] == {"changed": True, "joined": 2}
    assert run("join", 1, 3)[1] == {"changed": True, "joined": 1}, "the ranges of the first two are gone"
    assert run("join", 1, 3)[1] == {"changed": False, "joined": 0}
    before = len(hdfs.requests)
    assert run("publish")[1]["published"] == ["holdout_16", "train_16"]
    assert sum("op=CONCAT" in line for line in hdfs.requests[before:]) == 1
    assert staged(hdfs) == [*large, b"small"]
    assert "ranges" not in run("fetch", 0, 3)[1]


def test_what_hdfs_breaks_off_is_not_taken_for_damage(run, store, hdfs, monkeypatch):
    monkeypatch.setattr(plan, "RANGE_BYTES", 50)
    publish(store, "train_16", [bytes(range(200))])
    assert run("fetch")[0] == 0
    honest = HdfsHandler.do_GET

    def short(self) -> None:
        if not self.path.startswith("/data/"):
            honest(self)
            return
        self.send_response(200)
        self.send_header("Content-Length", "200")
        self.end_headers()
        self.wfile.write(bytes(range(100)))
        self.close_connection = True

    monkeypatch.setattr(HdfsHandler, "do_GET", short)
    status, _, error = run("publish")
    assert status == 1 and "broke off after 100 of 200 bytes" in error and "damaged" not in error
    monkeypatch.setattr(HdfsHandler, "do_GET", honest)
    assert run("fetch")[0] == 0 and run("publish")[0] == 0
    assert staged(hdfs) == [bytes(range(200))]


def test_ranges_that_are_no_whole_object_are_never_published(run, store, hdfs, monkeypatch):
    monkeypatch.setattr(plan, "RANGE_BYTES", 10)
    publish(store, "train_16", [bytes(range(256))])
    store.files["/muster/digits/train_16/part-00000.csv.gz"] = bytes(256)
    run("fetch")
    status, _, error = run("publish")
    assert status == 1 and "part-00000.csv.gz in the object store is damaged" in error
    assert staged(hdfs) == []
    publish(store, "train_16", [bytes(range(256))])
    run("fetch")
    run("publish")
    assert staged(hdfs) == [bytes(range(256))], "what was put together wrongly is fetched again"


def test_many_small_objects_become_few_files(run, store, hdfs, monkeypatch):
    monkeypatch.setattr(plan, "MANY", 5)
    assert run("fetch")[1]["objects"] == 1 + 2
    assert run("publish")[1]["changed"]
    assert staged(hdfs) == [b"".join(CONTENTS)]
    assert run("fetch")[1] == {"changed": False, "complete": True, "objects": 0, "bytes": 0}


def test_the_objects_of_a_pack_are_asked_for_together_and_come_in_order(run, hdfs, monkeypatch):
    together, get = threading.Barrier(4), StoreHandler.do_GET

    def waiting(self) -> None:
        if "train_16/part-" in self.path and self.path < "/muster/digits/train_16/part-00004":
            together.wait(timeout=20)
        get(self)

    monkeypatch.setattr(plan, "MANY", 5)
    monkeypatch.setattr(StoreHandler, "do_GET", waiting)
    assert run("fetch")[0] == 0
    run("publish")
    assert staged(hdfs) == [b"".join(CONTENTS)]


def test_an_object_that_is_listed_but_not_there_yet_is_asked_for_again(run, store, hdfs):
    key = "/muster/digits/train_16/part-00003.csv.gz"
    content, left = store.files.pop(key), 2
    monkeypatched = store.files

    class Late(dict):
        def __contains__(self, name):
            nonlocal left
            if name == key and left:
                left -= 1
                return False
            return super().__contains__(name)

    store.files = Late({**monkeypatched, key: content})
    assert run("fetch")[0] == 0
    run("publish")
    assert staged(hdfs) == CONTENTS
    del store.files[key]
    hdfs.files.clear()
    status, _, error = run("fetch")
    assert status == 1 and "part-00003.csv.gz, though the set's manifest names it" in error


def test_a_datanode_that_ends_is_no_end(run, hdfs, monkeypatch):
    """The next try is another DataNode's."""
    fails, write = [2], HdfsHandler.do_PUT

    def put(self) -> None:
        if self.path.startswith("/data") and "part-00003" in self.path and fails[0]:
            fails[0] -= 1
            self.close_connection = True
            return
        write(self)

    monkeypatch.setattr(HdfsHandler, "do_PUT", put)
    assert run("fetch")[0] == 0
    run("publish")
    assert staged(hdfs) == CONTENTS


def test_no_room_is_said_before_anything_is_written(run, hdfs):
    hdfs.room = 10
    status, _, error = run("fetch")
    assert status == 1 and "HDFS has no room" in error and not hdfs.files


def test_a_missing_set_names_the_sizes_that_exist(run, store):
    store.files["/muster/digits/raw/labels.csv"] = b"image,label\n"
    status, answer, error = run("fetch", size=64)
    assert status == 3 and answer == {"missing": True, "changed": False, "sizes": [16], "raw": True}
    assert error.endswith("no digits at 64 pixels (sizes that exist: 16)")


def test_a_set_tells_what_source_it_is_of_and_so_does_raw_data(run, store):
    store.files["/muster/digits/raw/labels.csv"] = b"image,label\n"
    store.files["/muster/digits/raw/source.json"] = b'{"images": 9}'
    assert run("fetch", size=64)[1]["source"] == {"images": 9}
    key = "/muster/digits/train_16/manifest.json"
    store.files[key] = json.dumps({**json.loads(store.files[key]), "source": {"images": 7}}).encode()
    assert run("fetch")[1]["source"] == {"images": 7}, "what the set was made of, not what lies there now"


def test_a_set_that_was_made_with_other_settings_is_refused_before_anything_is_staged(run, store, hdfs):
    key = "/muster/digits/train_16/manifest.json"
    known = {"dataset": "digits", "set": "train_16", "made_by": {"kind": "plain", "channels": 1}}
    store.files[key] = json.dumps({**json.loads(store.files[key]), **known}).encode()
    status, answer, error = run("fetch", 0, 1, 16, "--prepared", '{"kind": "", "channels": 3}')
    assert status == 4 and not hdfs.files and answer["changed"] is False
    assert error == f"muster-stage: {answer['error']}" and "(channels: grey then, rgb now)" in error
    assert run("fetch", 0, 1, 16, "--prepared", '{"kind": "", "channels": 1}')[1]["changed"]


def test_a_node_without_hdfs_has_the_set_in_a_folder(store, tmp_path, monkeypatch, capsys):
    settings = tmp_path / "store.json"
    known = {"endpoint": store.url, "access_key": "a:b", "secret_key": "s", "container": "muster"}
    settings.write_text(json.dumps(known))
    words = f"muster-stage fetch --dataset digits --size 16 --folder {tmp_path} --settings {settings}"

    def call() -> dict:
        monkeypatch.setattr("sys.argv", words.split())
        assert program.main() == 0
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
