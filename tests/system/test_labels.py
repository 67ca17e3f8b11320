"""Labels as people's tables have them, on their way from a folder to a set: used or reported, every row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.system.conftest import Labs

pytestmark = pytest.mark.long

SUBJECTS = 20
COUNTS = """
from muster_node import sets
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store
store = open_store(Settings.load())
print(store.get(sets.label_counts_key("eyes")).decode())
print(store.get(sets.label_report_key("eyes")).decode())
"""
SETS = """
import io, json
from pyarrow import parquet
from muster_node import sets
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store
store, found = open_store(Settings.load()), {}
for part in ("train", "holdout"):
    known = sets.Manifest.from_json(store.get(sets.manifest_key("several", part, 16)))
    tables = [parquet.read_table(io.BytesIO(store.get(item.key))).to_pylist()
              for item in known.objects if item.key.endswith(".parquet")]
    found[part] = {"classes": known.classes, "counts": known.rows_per_class, "labels": known.labels,
                   "rows": {row["id"]: [row["label"], row["subject"]] for table in tables for row in table}}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory, store):
    """One machine for all tests."""
    made = Labs(tmp_path_factory.mktemp("labels"), store)
    yield made(nodes=1, groups={"master": {"cores": 2, "memory_gb": 3, "data_disk_gb": 10}})
    made.close()


def python(lab, program: str) -> str:
    """What a program prints on the master."""
    return lab.ssh(lab.master, f"/opt/muster/venv/bin/python - <<'END'\n{program}\nEND").ok().answer


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Both eyes of some subjects, and labels as a German Excel saves them."""
    folder = tmp_path / "eyes"
    folder.mkdir()
    rows = ["Bild;Befund"]
    for number in range(SUBJECTS):
        for side in ("left", "right"):
            Image.new("RGB", (20, 20), (10 * number, 99, 50)).save(folder / f"{number}_{side}.png")
            rows.append(f"C:\\Studie\\{number}_{side}.png;{'gesund' if number % 4 else 'krank, früh'}")
    (folder / "labels.csv").write_bytes("\r\n".join(rows).encode("utf-8-sig"))
    return folder


def test_bad_labels_stop_the_set_or_are_left_out(lab, pictures):
    dataset = {"source": str(pictures), "name": "eyes"}
    lab.write(dataset=dataset)
    with (pictures / "labels.csv").open("ab") as table:
        table.write(b"\r\n0_left;gesund\r\n1_left;gesund\r\n99_left;gesund\r\n2_left;\r\n")
    lab.playbook("start_cluster.yml").ok()
    run = lab.playbook("main.yml", "-e", "IMAGE_SIZE=16")
    run.refused(
        "4 of 44 rows of the labels are bad: 2 contradiction, 1 missing label, 1 no such image "
        r"\(first: line 2, 0_left.png is krank, früh in line 2 and gesund in line 42\). All are listed in "
    )
    report = lab.state_dir / "reports" / "labels-eyes.csv"
    assert str(report) in run.output and report.read_text().count("\n") == 6
    lab.write(dataset=dataset | {"on_bad_labels": "drop"})
    run = lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    assert (
        "4 rows of the labels are left out: 2 contradiction, 1 missing label, 1 no such image" in run.output
    )
    counts, _, listed = python(lab, COUNTS).partition("\n")
    numbers = json.loads(counts)
    assert (numbers["rows"], numbers["used"]) == (44, 39) and sum(numbers["reported"].values()) == 5
    assert listed.strip() == report.read_text().strip()
    ids = lab.ssh(
        lab.master, "hdfs dfs -cat '/datasets/eyes/test_16/part-*.csv.gz' | zcat | cut -d, -f1"
    ).ok()
    assert ids.answer.split() == ["0_left.png"], "it has no label that can be believed"
    assert lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok().changed == 0


def test_several_labels_an_image_and_subjects_of_a_pattern(lab, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    rows = [",picture,red,green,blue"]
    for number in range(48):
        name = f"p{number // 4}-{number % 4}.png"
        Image.new("RGB", (20, 20), (5 * number, 99, 50)).save(folder / name)
        rows.append(f"{number},{name},{number % 2:.1f},{number % 3 == 0:.1f},1.0")
    rows.append("48,p0-0.png,maybe,0.0,1.0")
    (folder / "labels.csv").write_text("\n".join([*rows, ""]))
    wished = {"source": str(folder), "name": "several", "subject": r"(p\d+)-.", "on_bad_labels": "drop"}
    lab.write(dataset=wished)
    lab.playbook("start_cluster.yml").ok()
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").refused(
        "which column holds the labels.* multi_label: true"
    )
    lab.write(dataset=wished | {"multi_label": True})
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    found = json.loads(python(lab, SETS).splitlines()[-1])
    train, holdout = found["train"], found["holdout"]
    assert train["classes"] == {"blue": 0, "green": 1, "red": 2}
    assert train["labels"] == {"rows": 49, "used": 48, "reported": {"malformed": 1}}
    both = train["rows"] | holdout["rows"]
    assert len(both) == 48 and both["p0-0.png"] == [[0, 1], "p0"] and both["p0-1.png"] == [[0, 2], "p0"]
    assert [sum(number in each for each, _ in both.values()) for number in range(3)] == [48, 16, 24]
    assert not {each for _, each in train["rows"].values()} & {each for _, each in holdout["rows"].values()}
    assert lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok().changed == 0
