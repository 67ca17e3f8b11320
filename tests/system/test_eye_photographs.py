"""A folder of real photographs with a labels file goes the same way as the digits."""

from __future__ import annotations

import re
import shutil

import pytest
from PIL import Image

LABELLED = ("10_left.jpeg", "10_right.jpeg", "17_left.jpeg", "17_right.jpeg")


@pytest.fixture
def pictures(photographs, tmp_path):
    """Photographs and a labels CSV: one without a label, one corrupt, one label without an image."""
    folder = tmp_path / "eyes"
    folder.mkdir()
    for name in LABELLED:
        shutil.copy(photographs / name, folder / name)
    shutil.copy(folder / LABELLED[0], folder / "20_left.jpeg")
    (folder / "99_left.jpeg").write_bytes((folder / LABELLED[0]).read_bytes()[:3000])
    rows = [f"{name.removesuffix('.jpeg')},{number % 2}" for number, name in enumerate(LABELLED)]
    write_labels(folder, [*rows, "99_left,1", "nobody_left,1"])
    return folder


def write_labels(folder, rows: list[str]) -> None:
    (folder / "labels.csv").write_text("\n".join(["image,level", *rows, ""]))


@pytest.fixture
def eyes(labs, pictures):
    """A cluster of one node for them."""
    node = {"cores": 2, "memory_gb": 3, "data_disk_gb": 10}
    dataset = {"source": str(pictures), "name": "eyes", "labels": "labels.csv", "kind": "eye"}
    dataset["sizes"] = [16, 64, 128, 256]
    return labs(nodes=1, groups={"master": node}, dataset=dataset)


def rows(lab, part: str, size: int) -> list[list[str]]:
    """The rows of a staged set."""
    script = f"hdfs dfs -cat '/datasets/eyes/{part}_{size}/part-*.csv.gz' | zcat"
    return [line.split(",") for line in lab.ssh(lab.master, script).ok().answer.splitlines()]


def test_photographs(eyes, pictures):
    dataset = eyes.keys["dataset"]
    eyes.write(dataset={"source": "no/such/folder", "name": "eyes"})
    eyes.playbook("start_cluster.yml").refused(r"dataset\.source: there is no folder .*no/such/folder")
    eyes.write(dataset=dataset)
    eyes.playbook("start_cluster.yml").ok()
    eyes.playbook("main.yml", "-e", "IMAGE_SIZE=32").refused(r"nobody_left")
    kept = (pictures / "labels.csv").read_text().splitlines()[1:-1]
    write_labels(pictures, kept)
    run = eyes.playbook("main.yml", "-e", "IMAGE_SIZE=32").ok()
    assert "99_left" in run.output, "the corrupt image is reported, and the run went on"
    train, holdout, test = (rows(eyes, part, 32) for part in ("train", "holdout", "test"))
    assert len(train) + len(holdout) == len(LABELLED) and train and holdout
    assert [row[0] for row in test] == ["20_left.jpeg"]
    assert {len(row) for row in train + holdout + test} == {1 + 32 * 32 * 3}
    assert {row[0] for row in train + holdout} <= {"0", "1"}
    sets = {entry["name"]: entry["rows"] for entry in eyes.muster("data", "list", "--json").ok().json()}
    for size in (16, 64, 128, 256):
        assert sets[f"eyes/train_{size}"] == len(train), "the other sizes were made in the same pass"
    told = re.search(r"\./muster get (hdfs:\S+)", run.output)[1]
    eyes.muster("get", told, str(pictures)).ok()
    told = pictures / "_preprocess"
    with Image.open(told / "contact_sheet.png") as sheet:
        assert sheet.width > 900
    assert "99_left.jpeg,train,no" in (told / "report.csv").read_text().replace("holdout", "train")
    values = [int(value) for row in train for value in row[1:]]
    assert min(values) >= 0 and max(values) <= 255 and len(set(values)) > 50, "pictures, not one colour"
