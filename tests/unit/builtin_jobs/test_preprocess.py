"""What the driver of preprocessing does, without Spark."""

from __future__ import annotations

import importlib.util
import io
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import parts
import pytest
import yaml
from PIL import Image as Picture
from pyarrow import parquet
from tasks import Image

from muster_node import sets
from muster_node.preparation import OtherSettings
from muster_node.stores.base import Settings
from provision.core.paths import PROJECT
from tests.fakes.servers import Server, StoreHandler

GIVEN: dict[str, Any] = {"memory": 64 << 20, "progress": ""}


class Spark:
    """A cluster of one core, in this process; stands for a context, its settings and its collections."""

    def __init__(self, **_settings: object) -> None:
        self.items: list[Any] = []

    def setAppName(self, _name: str) -> Spark:  # noqa: N802
        return self

    def setLogLevel(self, _level: str) -> None:  # noqa: N802
        return

    def statusTracker(self) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(getActiveStageIds=list)

    def parallelize(self, items: list[Any], _slices: int) -> Spark:
        self.items = items
        return self

    def flatMap(self, function: Callable[[Any], list[Any]]) -> Spark:  # noqa: N802
        self.items = [each for item in pickle.loads(pickle.dumps(self.items)) for each in function(item)]  # noqa: S301
        return self

    def collect(self) -> list[Any]:
        return self.items

    def stop(self) -> None:
        return


@pytest.fixture(params=["as it is", "on executors"])
def main(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    """The program, imported where there is no Spark, as it is and as it works where images are many."""
    monkeypatch.setitem(sys.modules, "pyspark", SimpleNamespace(SparkConf=Spark, SparkContext=Spark))
    path = Path(parts.__file__).with_name("main.py")
    spec = importlib.util.spec_from_file_location("preprocess_main", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if request.param == "on executors":
        module.FEW_BYTES = -1
    return module


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A store with the raw data of ten pictures, eight of them labelled."""
    server = Server(StoreHandler)
    known = {"endpoint": server.url, "access_key": "a:b", "secret_key": "s", "container": "muster"}
    (tmp_path / "store.json").write_text(json.dumps(known))
    settings = Settings.load(tmp_path / "store.json")
    monkeypatch.setattr(parts.Settings, "load", lambda: settings)
    names = [f"{number}_{side}.png" for number in range(5) for side in ("left", "right")]
    for number, name in enumerate(names):
        picture = io.BytesIO()
        Picture.linear_gradient("L").rotate(40 * number).convert("RGB").save(picture, "PNG")
        server.files[f"/muster/{sets.image_key('eyes', name)}"] = picture.getvalue()
    rows = [f"{name},{number % 2}" for number, name in enumerate(names[:8])]
    server.files[f"/muster/{sets.labels_key('eyes')}"] = "\n".join(["image,label", *rows, ""]).encode()
    yield server
    server.shutdown()


def made(store: Server) -> dict[str, bytes]:
    """All that there is of sets, without what is known of their parts."""
    return {
        key: content
        for key, content in store.files.items()
        if "/part-" in key or key.endswith("manifest.json")
    }


def test_all_sizes_are_made_in_one_pass_and_not_again(main, store):
    options = main.Options("eyes")
    summary = main.run(options, (16, 32), **GIVEN)
    assert summary["rows"] == {
        f"{part}_{size}": rows
        for size in (16, 32)
        for part, rows in (("test", 2), ("holdout", 2), ("train", 6))
    }
    assert sum("raw/images/0_left.png" in request for request in store.requests) == 1
    both = made(store)
    assert main.run(options, (16, 32), **GIVEN) == {"changed": False, "rows": {}, "notes": []}
    assert main.run(options, (16, 64), **GIVEN)["rows"].keys() == {
        "train_64", "holdout_64", "test_64"
    }  # fmt: skip
    assert {key: made(store)[key] for key in both} == both
    for key in [key for key in both if "_32/" in key]:
        del store.files[key]
    main.run(options, (32,), **GIVEN)
    assert {key: made(store)[key] for key in both} == both, "a size is the same whatever others are asked for"


@pytest.mark.parametrize("main", ["as it is"], indirect=True)
def test_few_images_become_the_same_bytes_without_executors(main, store, monkeypatch):
    options, raw = main.Options("eyes", augment=True), dict(store.files)
    with monkeypatch.context() as patch:
        patch.setattr(main, "work", lambda *_: pytest.fail("executors for ten images"))
        main.run(options, (16, 32), **GIVEN)
    alone = dict(store.files)
    store.files.clear()
    store.files.update(raw)
    monkeypatch.setattr(main, "FEW_BYTES", -1)
    monkeypatch.setattr(main, "work_alone", lambda *_: pytest.fail("they count as many"))
    main.run(options, (16, 32), **GIVEN)
    assert store.files == alone


@pytest.mark.parametrize("main", ["as it is"], indirect=True)
@pytest.mark.parametrize(
    ("changes", "few"),
    [({}, True), ({"size": 1024}, False), ({"bytes": 1 << 23}, False), ({"pack": 1 << 23}, False), ({"cropped": True}, False)],
)  # fmt: skip
def test_images_are_few_where_neither_files_nor_pictures_are_large(main, changes, few):
    images = tuple(Image(f"{number}.png", bytes=changes.get("bytes", 100)) for number in range(1800))
    tasks = [main.Task(sets.TRAIN, 0, (changes.get("size", 16),), images)]
    packs = {"digits.tar": changes.get("pack", 100)}
    job = main.Job(main.Options("eyes"), {}, packs, {}, {}, 1 << 20, cropped=changes.get("cropped", False))
    assert main.are_few(tasks, job) == few


def test_a_size_that_was_made_with_other_settings_is_refused(main, store):
    main.run(main.Options("eyes"), (16,), **GIVEN)
    before = dict(store.files)
    with pytest.raises(OtherSettings, match=r"eyes/train_16 .*\(sample: 1.0 then, 0.5 now\)"):
        main.run(main.Options("eyes", sample=0.5), (16, 32), **GIVEN)
    assert store.files == before
    del store.files[f"/muster/{sets.manifest_key('eyes', sets.TRAIN, 16)}"]
    assert main.run(main.Options("eyes", sample=0.5), (16, 32), **GIVEN)["rows"]["train_16"] < 6


def test_an_ended_pass_goes_on_where_it_was(main, store, monkeypatch):
    options = main.Options("eyes")
    main.run(options, (16, 32), **GIVEN)
    whole = made(store)
    for key in list(whole):
        if key.endswith("manifest.json") or "train_16/part-00000" in key:
            del store.files[key]
    asked: list[Any] = []
    real = parts.make_part
    monkeypatch.setattr(main, "make_part", lambda task, job: asked.append(task) or real(task, job))
    main.run(options, (16, 32), **GIVEN)
    assert [(task.part, task.number, task.sizes) for task in asked] == [(sets.TRAIN, 0, (16,))]
    assert made(store) == whole


def test_intermediates_need_no_originals(main, store):
    options = main.Options("eyes", masters=True)
    main.run(options, (16,), **GIVEN)
    sides = dealt(store, 16)
    for key in [key for key in store.files if "/raw/" in key]:
        del store.files[key]
    assert main.run(options, (32,), **GIVEN)["rows"] == {"test_32": 2, "holdout_32": 2, "train_32": 6}
    assert dealt(store, 32) == sides, "every image is where it was"
    with pytest.raises(main.Failure, match="has no raw data of eyes"):
        main.run(main.Options("eyes", channels=1), (64,), **GIVEN)


def dealt(store: Server, size: int) -> dict[str, list[str]]:
    """The ids of each part."""
    found = {}
    for part in sets.PARTS:
        files = [key for key in store.files if f"/{part}_{size}/" in key and key.endswith(".parquet")]
        found[part] = [
            name
            for key in files
            for name in parquet.read_table(io.BytesIO(store.files[key]))["id"].to_pylist()
        ]
    return found


def test_the_number_of_parts_never_falls(main, monkeypatch):
    """Spark does not list a stage any more once all of it is done."""
    finished: list[int | None] = [3, 10, None]
    shown: list[str] = []
    tracker = SimpleNamespace(
        getActiveStageIds=lambda: [] if finished[0] is None else [0],
        getStageInfo=lambda _stage: SimpleNamespace(numCompletedTasks=finished[0]),
    )

    def wait(_seconds: float) -> bool:
        if shown:
            finished.pop(0)
        return not finished

    monkeypatch.setattr(main.files, "report", lambda _path, line: shown.append(line))
    main.follow(SimpleNamespace(statusTracker=lambda: tracker), 10, "progress", SimpleNamespace(wait=wait))
    assert shown == [f"preprocessing: {number} of 10 parts" for number in (3, 10, 10)]


def test_modules_that_executors_get_are_those_of_the_program(main):
    folder = Path(parts.__file__).parent
    variables = yaml.safe_load((PROJECT / "roles" / "dataset" / "vars" / "main.yml").read_text())
    modules = sorted(path.name for path in folder.glob("*.py") if path.name != "main.py")
    assert variables["__dataset_modules"] == modules


def test_intermediates_of_a_sample_serve_that_sample_alone(main, store):
    """A sample is drawn of all images, never of what a sample has left."""
    options = main.Options("eyes", masters=True, sample=0.5)
    main.run(options, (16,), **GIVEN)
    drawn = dealt(store, 16)
    main.run(options, (32,), **GIVEN)
    assert dealt(store, 32) == drawn
    main.run(main.Options("eyes", masters=True), (64,), **GIVEN)
    assert sum(map(len, dealt(store, 64).values())) == 10


def test_a_pass_over_other_intermediates_that_is_ended_leaves_no_list_of_them(main, store, monkeypatch):
    """Their files are other ones by then: what a list said of them would be the middle of some picture."""
    eyes = main.Options("eyes", masters=True)
    main.run(eyes, (16,), **GIVEN)
    monkeypatch.setattr(main, "work", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main.run(main.Options("eyes", masters=True, channels=1), (32,), **GIVEN)
    assert json.loads(store.files[f"/muster/{sets.masters_key('eyes')}"]) == {}


def test_intermediates_count_only_while_all_of_them_are_there(main, store):
    main.run(main.Options("eyes", masters=True), (16,), **GIVEN)
    del store.files[next(key for key in store.files if "/masters/train/part" in key)]
    main.run(main.Options("eyes"), (32,), **GIVEN)
    assert sum(map(len, dealt(store, 32).values())) == 10


@pytest.mark.parametrize("raw_is_there", [True, False])
def test_what_ingest_was_told_counts_where_nothing_else_is_said(main, store, raw_is_there):
    told = {"kind": "eye", "multi_label": True}
    store.files[f"/muster/{sets.description_key('eyes')}"] = json.dumps(told).encode()
    main.run(main.Options("eyes", kind="", masters=True), (16,), **GIVEN)
    if not raw_is_there:
        for key in [key for key in store.files if "/raw/" in key]:
            del store.files[key]
    main.run(main.Options("eyes", kind=""), (32,), **GIVEN)
    for size in (16, 32):
        known = manifest_of(store, size)
        assert known.kind == "eye" and known.made_by["multi_label"]


def test_no_label_is_lost_where_images_have_several(main, store):
    key = f"/muster/{sets.labels_key('eyes')}"
    store.files[key] = store.files[key].replace(b"0_left.png,0", b"0_left.png,0|1")
    main.run(main.Options("eyes"), (16,), **GIVEN)
    assert manifest_of(store, 16).made_by["multi_label"]


def test_without_any_label_there_is_nothing_to_train_on(main, store):
    store.files[f"/muster/{sets.labels_key('eyes')}"] = b"image,label\n"
    with pytest.raises(main.Failure, match="no image of eyes has a label"):
        main.run(main.Options("eyes"), (16,), **GIVEN)


def manifest_of(store: Server, size: int) -> sets.Manifest:
    return sets.Manifest.from_json(store.files[f"/muster/{sets.manifest_key('eyes', sets.TRAIN, size)}"])


def test_nothing_of_a_pass_with_other_settings_stays_in_a_set(main, store):
    main.run(main.Options("eyes"), (16,), **GIVEN)
    del store.files[f"/muster/{sets.manifest_key('eyes', sets.TRAIN, 16)}"]
    key = f"/muster/{sets.labels_key('eyes')}"
    store.files[key] += b"4_left.png,0\n4_right.png,1\n"
    main.run(main.Options("eyes", sample=0.4, formats=("parquet",)), (16,), **GIVEN)
    assert f"/muster/{sets.manifest_key('eyes', sets.TEST, 16)}" not in store.files
    assert not [key for key in store.files if key.endswith("csv.gz")]
    assert sum(map(len, dealt(store, 16).values())) == 4


def test_a_full_disk_is_one_line(main: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/data/scratch/part-0")

    monkeypatch.setattr(main, "run", full)
    monkeypatch.setattr(sys, "argv", ["main.py", "--dataset", "eyes", "--sizes", "16"])
    with pytest.raises(SystemExit, match=r"^preprocess: \[Errno 28\] No space left on device: '/data"):
        main.main()
