"""Preprocessing on a real cluster: sizes, formats, intermediates, the same bytes, and what is killed on the way."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.system.conftest import Labs
from tests.system.lab import eventually

pytestmark = pytest.mark.long

SIZES = (16, 32, 64, 128, 256)
NAMES = ("10_left", "10_right", "17_left", "17_right")
SUBJECTS = 6
# Compares the formats of every set pixel by pixel; prints what each manifest says.
COMPARE = """
import csv, gzip, hashlib, io, json, sys
import numpy
from PIL import Image
from pyarrow import parquet
from muster_node import sets
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store
store, dataset, found = open_store(Settings.load()), sys.argv[1], {}
csv.field_size_limit(1 << 30)
for key in [key for key, _ in store.names(dataset + "/") if key.endswith("/manifest.json")]:
    known = sets.Manifest.from_json(store.get(key))
    lines, rows = [], []
    for item in known.objects:
        content = store.get(item.key)
        assert hashlib.sha256(content).hexdigest() == item.sha256
        if item.key.endswith(".parquet"):
            rows += parquet.read_table(io.BytesIO(content)).to_pylist()
        else:
            lines += list(csv.reader(io.StringIO(gzip.decompress(content).decode())))
    assert len(lines) == len(rows) == known.rows, (key, len(lines), len(rows))
    for line, row in zip(lines, rows):
        pixels = numpy.asarray(Image.open(io.BytesIO(row["image"])))
        assert pixels.shape == (known.size, known.size, 3), pixels.shape
        assert line[1:] == [str(value) for value in pixels.reshape(-1).tolist()], (key, row["id"])
        assert line[0] == (row["id"] if row["label"] is None else str(row["label"]))
    ids = [row["id"] for row in rows]
    found[known.set] = {
        "digest": hashlib.sha256(store.get(key)).hexdigest(), "ids": ids, "rows": known.rows,
        "subjects": [row["subject"] for row in rows], "weights": known.class_weights,
        "images": known.images, "skipped": known.skipped,
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def pictures(photographs, tmp_path_factory):
    """Photographs of six subjects and some more without labels; one is damaged."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = ["image,level"]
    for subject in range(SUBJECTS):
        for side in ("left", "right"):
            name = f"{subject}_{side}"
            shutil.copy(photographs / f"{NAMES[subject % 2 * 2]}.jpeg", folder / f"{name}.jpeg")
            rows.append(f"{name},{subject % 3 == 0:d}")
    (folder / "0_right.jpeg").write_bytes((folder / "0_right.jpeg").read_bytes()[:5000])
    shutil.copy(photographs / "17_right.jpeg", folder / "90_left.jpeg")
    (folder / "labels.csv").write_text("\n".join([*rows, ""]))
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory, store):
    """Two small machines for all tests."""
    made = Labs(tmp_path_factory.mktemp("preprocess"), store)
    cluster = made(nodes=2)
    cluster.playbook("start_cluster.yml").ok()
    yield cluster
    made.close()


def make(lab, pictures, name: str, size: int, **keys):
    """Run main.yml for a data set of these pictures."""
    lab.write(dataset={"source": str(pictures), "name": name, "labels": "labels.csv", **keys})
    return lab.playbook("main.yml", "-e", f"IMAGE_SIZE={size}")


def compared(lab, name: str) -> dict:
    """What the store has of a data set, after all of it was compared."""
    script = f"/opt/muster/venv/bin/python - {name} <<'END'\n{COMPARE}\nEND\n"
    return json.loads(lab.ssh(lab.master, script, timeout=300).ok().answer.splitlines()[-1])


def test_all_sizes_from_one_run_and_later_ones_from_intermediates(lab, pictures):
    run = make(lab, pictures, "eyes", 64, kind="eye", sizes=[16, 128, 256], masters=True).ok()
    assert "0_right" in run.output and run.output.count("preprocessing: starting Spark") == 1
    found = compared(lab, "eyes")
    assert set(found) == {
        f"{part}_{size}" for part in ("train", "holdout", "test") for size in (16, 64, 128, 256)
    }
    for size in (16, 64, 128, 256):
        sides = [found[f"{part}_{size}"] for part in ("train", "holdout")]
        assert sum(each["rows"] for each in sides) == 2 * SUBJECTS - 1
        assert not set(sides[0]["subjects"]) & set(sides[1]["subjects"])
        assert all(each["images"] == each["rows"] + len(each["skipped"]) for each in found.values())
    lab.muster("data", "rm", "--yes", "eyes/raw").ok()
    make(lab, pictures, "eyes", 32, kind="eye", masters=True).ok()
    later = compared(lab, "eyes")
    for part in ("train", "holdout", "test"):
        assert later[f"{part}_32"]["ids"] == found[f"{part}_64"]["ids"]
        assert later[f"{part}_32"]["skipped"] == found[f"{part}_64"]["skipped"]


def test_the_same_bytes_with_one_executor_and_with_two(lab, pictures):
    make(lab, pictures, "same", 16, sizes=[32]).ok()
    first = compared(lab, "same")
    for part in ("train", "holdout", "test"):
        for size in (16, 32):
            lab.muster("data", "rm", "--yes", f"same/{part}_{size}").ok()
    options = json.dumps({"channels": 3})
    job = "/home/hadoop/jobs/preprocess"
    command = (
        f"cd {job} && spark-submit --conf spark.cores.max=1 --conf spark.executor.cores=1 "
        f"--py-files $(ls {job}/*.py | grep -v main.py | paste -sd,) {job}/main.py --dataset same "
        f"--sizes 16,32 --options '{options}'"
    )
    lab.ssh(lab.master, command, timeout=600).ok()
    again = compared(lab, "same")
    assert again == first, "manifests, which have the digests of all files, are the same"


def test_other_settings_are_refused_until_the_set_is_gone(lab, pictures):
    make(lab, pictures, "changed", 16).ok()
    said = r"changed/train_16 was made.*sample: 1.0 then, 0.5 now.*data rm changed/train_16"
    make(lab, pictures, "changed", 16, sample=0.5).refused(said)
    make(lab, pictures, "changed", 32, sample=0.5, sizes=[16]).refused(said)
    lab.playbook("verify.yml", "-e", "IMAGE_SIZE=16").refused(said)
    lab.muster("data", "rm", "--yes", "changed/train_16").ok()
    make(lab, pictures, "changed", 16, sample=0.5).ok()
    found = compared(lab, "changed")
    assert found["train_16"]["images"] + found["holdout_16"]["images"] == SUBJECTS


def test_sample_weights_and_turned_copies(lab, pictures):
    make(lab, pictures, "turned", 16, augment=True, sample=0.5, balance="weights").ok()
    found = compared(lab, "turned")
    train, holdout = found["train_16"], found["holdout_16"]
    assert train["rows"] == 8 * (train["images"] - len(train["skipped"]))
    assert any(each.endswith("@m_r270") for each in train["ids"]) and train["weights"]
    assert not any("@" in each for each in holdout["ids"])
    assert train["images"] + holdout["images"] == SUBJECTS


def test_a_killed_worker_and_a_restarted_store_cost_nothing(lab, pictures):
    lab.write(dataset={"source": str(pictures), "name": "killed", "labels": "labels.csv", "sizes": [256]})
    started = lab.start("main.yml", "-e", "IMAGE_SIZE=16")
    eventually(lambda: started.said(" of ") and started.said("parts"), 300, "preprocessing")
    lab.ssh(lab.worker(1), "sudo pkill -9 -f [p]yspark", user="muster")
    lab.ssh("object-store", "sudo systemctl restart object-store", user="muster")
    if started.wait().status:
        make(lab, pictures, "killed", 16, sizes=[256]).ok()
    found = compared(lab, "killed")
    assert sum(found[f"{part}_256"]["rows"] for part in ("train", "holdout")) == 2 * SUBJECTS - 1
