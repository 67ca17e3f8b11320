"""Hardware scaled in one step with its data kept; a sweep over clusters and layouts, killed on its way."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.core.paths import PROJECT
from tests.system.conftest import running
from tests.system.lab import Lab, Started, eventually

pytestmark = pytest.mark.long
SWEEP = """
job: logistic_regression
sizes: [16]
shapes: {nodes: [2, 1], cores: [2], memory_gb: [3]}
layouts: [advised, {cores: 1, memory_gb: 0.4}]
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Lab]:
    """A cluster of two nodes with the digits at 16x16."""
    with running(tmp_path_factory.mktemp("sweep"), store, nodes=2) as lab:
        yield lab
    shutil.rmtree(PROJECT / "results" / "sweeps" / lab.name, ignore_errors=True)


def test_hardware_is_scaled_in_one_step_and_hdfs_keeps_its_data(two: Lab) -> None:
    put = "head -c 30000000 /dev/urandom > x && hdfs dfs -put -f x kept && sha256sum < x"
    before, kept = two.machines(), two.ssh(two.master, put).ok().answer
    wish = ("-e", "CORES=1", "-e", "MEMORY_GB=3")
    two.playbook("main.yml", *wish).refused("has not the CORES and MEMORY_GB that were wished")
    two.playbook("start_cluster.yml", *wish).ok()
    after = two.machines()
    assert {(node["cores"], node["memory_mb"]) for node in after.values()} == {(1.0, 3072)}
    for name, node in before.items():
        assert (after[name]["unit"], after[name]["address"]) == (node["unit"], node["address"]), "made anew"
    two.playbook("main.yml").ok()
    assert two.ssh(two.master, "hdfs dfs -cat kept | sha256sum").ok().answer == kept
    assert "Status: HEALTHY" in two.ssh(two.master, "hdfs fsck /user/hadoop").ok().answer
    limits = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>&1"  # v2, v1
    seen = two.ssh(two.worker(1), limits, user="muster").answer
    assert str(3072 << 20) in seen, "what runs there sees another limit"
    assert "spark.executor.cores 1" in two.ssh(two.master, "cat /etc/spark/spark-defaults.conf").ok().answer
    two.playbook("verify.yml").ok()
    assert two.playbook("start_cluster.yml").ok().changed == 0, "the wish was not remembered"


def test_a_sweep_killed_on_its_way_goes_on_and_keeps_what_failed(two: Lab) -> None:
    file = two.folder / f"{two.name}-sweep" / f"{two.name}.yml"
    file.parent.mkdir()
    file.write_text(SWEEP)
    words = ["sweep", str(file), "--yes"]
    planned = two.muster(*words, "--plan").ok().answer
    assert "4 runs of logistic_regression on 2 clusters; 3 machine operations" in planned
    diary = PROJECT / "results" / "sweeps" / two.name / "sweep.jsonl"
    begun = Started(two, [str(PROJECT / "muster"), "-i", str(two.config), *words])
    eventually(lambda: begun.process.poll() is not None or kinds(diary).count("begin") == 2, 400, "at work")
    assert begun.process.poll() is None, begun.log.read_text()
    begun.kill(group=True)
    assert kinds(diary).count("finish") == 1, "it was to be killed with one run done and one begun"
    two.muster(*words).ok()
    rows = list(csv.DictReader((diary.parent / "table.csv").read_text().splitlines()))
    assert sorted((row["nodes"], row["layout"], row["state"]) for row in rows) == [
        ("1", "advised", "succeeded"), ("1", "given", "failed"),
        ("2", "advised", "succeeded"), ("2", "given", "failed"),
    ]  # fmt: skip
    assert all("memory" in row["reason"].lower() for row in rows if row["state"] == "failed"), rows
    sent = [run["run"] for run in two.muster("jobs", "--json").ok().json()]
    assert sorted(sent) == sorted(row["run"] for row in rows), "a run was sent twice"
    assert (diary.parent / "plot.svg").read_text().count("<circle") == 2
    again = two.muster(*words).ok()
    assert "0 runs of logistic_regression" in again.answer and "best" in again.answer


def kinds(diary: Path) -> list[str]:
    """What a sweep's diary has recorded, in order."""
    if not diary.is_file():
        return []
    lines = diary.read_bytes().split(b"\n")[:-1]
    return [str(json.loads(line)["kind"]) for line in lines]
