"""Staging of much data: 1 GiB of large images, and 20,000 small ones; also killed on the way."""

from __future__ import annotations

import json
import time

import pytest

from tests.system.noise import write_noise

pytestmark = pytest.mark.long

KINDS = {"1 GiB": {"images": 350, "side": 1024}, "20000 objects": {"images": 20_000, "side": 24}}


@pytest.fixture(params=KINDS)
def noisy(request, labs, tmp_path):
    """A cluster with a folder of noise as its data set."""
    folder = tmp_path / "noise"
    kind = KINDS[request.param]
    write_noise(folder, **kind)
    name = request.param.replace(" ", "-").lower()
    return (
        labs(nodes=3, dataset={"source": str(folder), "name": name, "labels": "labels.csv"}),
        kind["images"],
        name,
    )


def staged(lab, name: str) -> dict[str, int]:
    """Rows of every staged set, counted."""
    found = {}
    for part in ("train", "holdout"):
        script = f"hdfs dfs -cat '/datasets/{name}/{part}_16/part-*.csv.gz' | zcat | wc -l"
        found[part] = int(lab.ssh(lab.master, script).ok().answer)
    return found


def kill_at(lab, seconds: float, playbook: str, *arguments: str) -> None:
    end = time.monotonic() + seconds
    lab.kill_after(lambda: time.monotonic() > end, playbook, *arguments)


def test_noise(noisy, leftovers):
    """Killed while it uploads, preprocesses and stages; then once to the end."""
    lab, images, name = noisy
    main = ("main.yml", "-e", "IMAGE_SIZE=16")
    with leftovers(lab):
        lab.playbook("start_cluster.yml").ok()
        for seconds in (25, 45, 75):
            kill_at(lab, seconds, *main)
        lab.playbook(*main, timeout=1800).ok()
        assert sum(staged(lab, name).values()) == images
        assert lab.playbook(*main).ok().changed == 0
        lab.ssh(lab.master, f"hdfs dfs -rm -r -skipTrash /datasets/{name}").ok()
        kill_at(lab, 8, *main)
        lab.playbook(*main).ok()
        assert sum(staged(lab, name).values()) == images
        assert json.dumps(lab.muster("verify", "--json").ok().json())
        lab.destroy().ok()
