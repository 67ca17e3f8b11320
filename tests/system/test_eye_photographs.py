"""A folder of real photographs with a labels file goes the same way as the digits."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def pictures(photographs, tmp_path):
    """A folder with the photographs and a labels CSV beside them; not part of the project."""
    folder = tmp_path / "eyes"
    folder.mkdir()
    names = sorted(path.name for path in photographs.glob("*.jpeg"))
    for name in names:
        shutil.copy(photographs / name, folder / name)
    (folder / "labels.csv").write_text(
        "image,level\n" + "".join(f"{name},{number % 2}\n" for number, name in enumerate(names))
    )
    return folder


@pytest.fixture
def eyes(labs, pictures):
    """A cluster of one node for them."""
    node = {"cores": 2, "memory_gb": 3, "data_disk_gb": 10}
    return labs(
        nodes=1,
        groups={"master": node},
        dataset={"source": str(pictures), "name": "eyes", "labels": "labels.csv"},
    )


def rows(lab, size: int) -> dict[str, list[list[str]]]:
    """The staged sets' rows, by part."""
    found = {}
    for part in ("train", "holdout", "test"):
        script = f"hdfs dfs -cat '/datasets/eyes/{part}_{size}/part-*' 2>/dev/null | zcat 2>/dev/null"
        found[part] = [line.split(",") for line in lab.ssh(lab.master, script).answer.splitlines()]
    return found


def test_photographs(eyes, pictures):
    """Also with a corrupt one among them: it is reported and left out, the run goes on."""
    (pictures / "99_left.jpeg").write_bytes((pictures / "10_left.jpeg").read_bytes()[:3000])
    with (pictures / "labels.csv").open("a") as labels:
        labels.write("99_left.jpeg,1\n")
    eyes.playbook("start_cluster.yml").ok()
    run = eyes.playbook("main.yml", "-e", "IMAGE_SIZE=32").ok()
    assert "99_left" in run.output, "the corrupt image is reported"
    found = rows(eyes, 32)
    staged = found["train"] + found["holdout"]
    assert len(staged) == len(list(pictures.glob("*.jpeg"))) - 1
    assert {len(row) for row in staged} <= {1 + 32 * 32, 1 + 32 * 32 * 3}
    assert {row[0] for row in staged} <= {"0", "1"}
    values = [int(value) for row in staged for value in row[1:]]
    assert min(values) >= 0 and max(values) <= 255 and len(set(values)) > 50, "real pictures, not one colour"
    # Labels and images that do not belong together end the next size's run before anything is written.
    with (pictures / "labels.csv").open("a") as labels:
        labels.write("nobody_left.jpeg,1\n")
    eyes.playbook("main.yml", "-e", "IMAGE_SIZE=16").refused(r"nobody_left")
