"""Many runs at once: experiments on machines made for them, and Optuna's trials over the workers."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from muster_node.queue.records import FINAL
from provision.core.paths import PROJECT
from tests.system.conftest import running
from tests.system.lab import Lab, Started, eventually
from tests.system.runs import only_run, runs

pytestmark = pytest.mark.long
GROUPS = {
    "master": {"cores": 2, "memory_gb": 3.5, "data_disk_gb": 20},
    "worker": {"cores": 1, "memory_gb": 2, "data_disk_gb": 20},
    "experiment": {"cores": 1, "memory_gb": 1.5, "data_disk_gb": 10},
}
EXPERIMENTS = "job: cnn\nparameters: {epochs: 2}\ngrid: {network: [small, mlp], dropout: [0, 0.5]}\n"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Lab]:
    """A cluster of three nodes with the digits at 16x16."""
    with running(tmp_path_factory.mktemp("studies"), store, nodes=3, groups=GROUPS) as lab:
        yield lab
    shutil.rmtree(PROJECT / "results" / "experiments" / lab.name, ignore_errors=True)


def test_experiments_have_machines_of_their_own_which_go_at_the_end(three: Lab) -> None:
    file = three.folder / f"{three.name}-grid" / f"{three.name}.yml"
    file.parent.mkdir()
    file.write_text(EXPERIMENTS)
    words = ["experiments", str(file), "--machines", "2", "--yes"]
    assert "4 of 4 runs of cnn on 2 machines" in three.muster(*words, "--plan").ok().answer
    assert len(three.machines()) == 3, "something was made for a plan"
    begun = Started(three, [str(PROJECT / "muster"), "-i", str(three.config), *words])
    diary = PROJECT / "results" / "experiments" / three.name / "experiments.jsonl"
    eventually(lambda: begun.process.poll() is not None or "finish" in kinds(diary), 600, "the first result")
    assert begun.process.poll() is None, begun.log.read_text()
    begun.kill(group=True)
    assert sorted(set(three.machines()) - set(three.names)) == [
        f"{three.name}-experiment-1", f"{three.name}-experiment-2",
    ]  # fmt: skip
    done = three.muster(*words, timeout=1200).ok()
    assert "ACCURACY" in done.answer and "NETWORK" in done.answer, done.report()
    rows = list(csv.DictReader((diary.parent / "table.csv").read_text().splitlines()))
    assert {(row["network"], row["dropout"]) for row in rows} == {
        ("small", "0"), ("small", "0.5"), ("mlp", "0"), ("mlp", "0.5"),
    }  # fmt: skip
    assert {row["state"] for row in rows} == {"succeeded"}
    assert {row["machine"] for row in rows} == {f"{three.name}-experiment-{number}" for number in (1, 2)}
    assert all(float(row["accuracy"]) > 0.3 for row in rows)
    assert set(three.machines()) == set(three.names), "machines for experiments are left"
    assert len(runs(three)) == 4, "a run was made twice"
    on_one = [run for run in runs(three).values() if run["on"] == "experiment"]
    spans = sorted((run["started"], run["ended"]) for run in on_one)
    assert any(second[0] < first[1] for first, second in pairwise(spans)), "no two at once"


def test_tune_goes_on_when_a_worker_is_lost(three: Lab) -> None:
    three.muster("submit", "tune", "trials=6", "epochs=2", "dropout=0..2").refused("dropout=2")
    sent = three.muster(
        "submit", "-d", "tune", "trials=6", "epochs=3", "dropout=0..0.6",
        "learning_rate=0.0005..0.02:log", "network=small", "network=mlp",
    ).ok()  # fmt: skip
    run = only_run(sent)

    def trials() -> list[dict]:
        return [one for one in runs(three).values() if one["parent"] == run]

    def on_second() -> list[dict]:
        return [one for one in trials() if one["state"] == "running" and one["node"] == three.worker(2)]

    eventually(lambda: on_second() or runs(three)[run]["state"] in FINAL, 300, "a trial on the second worker")
    assert on_second(), three.muster("logs", run).output
    assert {one["node"] for one in trials() if one["state"] == "running"} <= {
        three.worker(1),
        three.worker(2),
    }
    three.ssh(three.worker(2), "sudo systemctl kill --signal=SIGKILL 'muster-job@*'", user="muster").ok()
    three.muster("logs", run, "-f", timeout=1200).ok()
    assert runs(three)[run]["state"] == "succeeded", three.muster("logs", run).output
    folder = PROJECT / "results" / run
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["trials"] == 6 and metrics["tried_again"] >= 1 and metrics["failed"] == 0, metrics
    assert metrics["complete"] >= 2 and metrics["value"] > 0.5
    assert {one["node"] for one in trials()} == {three.worker(1), three.worker(2)}
    assert (folder / "importance.png").stat().st_size > 5000
    assert (folder / "parallel_coordinates.png").stat().st_size > 5000
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert len(rows) == 6 and {row["network"] for row in rows} <= {"small", "mlp"}


def kinds(diary: Path) -> list[str]:
    """The events of a diary, in order."""
    if not diary.is_file():
        return []
    return [json.loads(line)["kind"] for line in diary.read_text().splitlines() if line.endswith("}")]
