"""cnn on the shared cluster: a network learns the digits, and `predict` knows it."""

from __future__ import annotations

import csv
import json
import re
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from provision.core.paths import PROJECT
from tests.system.lab import Lab, eventually
from tests.system.runs import only_run, runs

TIMEOUT = 600


def submitted(lab: Lab, *words: str) -> tuple[str, Path, dict[str, Any]]:
    """Submit a job; return its run, the folder of its results here, and its metrics."""
    output = lab.muster("submit", *words, timeout=TIMEOUT).ok().output
    run = re.findall(r"^Submitted (\S+)$", output, re.MULTILINE)[0]
    folder = PROJECT / "results" / run
    return run, folder, json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def learnt(_shared: Lab) -> tuple[str, Path, dict[str, Any]]:
    """A run with its defaults."""
    return submitted(_shared, "cnn")


def test_the_digits_are_learnt_in_three_minutes(learnt):
    _, folder, metrics = learnt
    assert metrics["accuracy"] >= 0.975 and metrics["f2"] >= 0.97
    assert metrics["quadratic_weighted_kappa"] >= 0.95
    assert metrics["holdout_rows"] == 359 and all(each["recall"] > 0.85 for each in metrics["classes"])
    assert metrics["seconds"] < 180
    for name in ("confusion_matrix.png", "worst.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_a_network_predicts_what_it_was_scored_with(ready, learnt):
    run, _, metrics = learnt
    _, folder, said = submitted(ready, "predict", f"model={run}", "part=holdout")
    assert said["engine"] == "torch" and said["accuracy"] == pytest.approx(metrics["accuracy"], abs=1e-6)
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        shares = {name: float(row[f"p_{name}"]) for name in map(str, range(10))}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-4) and shares[row["class"]] == max(
            shares.values()
        )


def test_what_needs_pytorch_is_proved_on_a_node(ready, tmp_path):
    """See cnn_proofs.py: a broken run goes on to the same end, processes learn what one learns, and more."""
    folder = tmp_path / "proofs"
    ready.muster("submit", "--example", "cnn", str(folder)).ok()
    shutil.copy(Path(__file__).with_name("cnn_proofs.py"), folder / "main.py")
    run = ready.muster("submit", f"{folder}/", timeout=TIMEOUT).ok()
    assert run.output.count("proved ") == 10, run.report()


def test_a_program_that_has_trained_ends_at_once(ready):
    """So many seconds PyTorch waits for its threads, of which it loses sight one time in seven."""
    look = "import os; print(os.environ['TORCH_AUTOGRAD_SHUTDOWN_WAIT_LIMIT'])"
    for node in ready.names:
        assert ready.ssh(node, f'/opt/muster/venv/bin/python -c "{look}"').ok().answer.strip() == "0"


@pytest.mark.long
def test_a_killed_run_goes_on_to_the_same_end(ready):
    words = ["epochs=10", "seed=5", "patience=8"]
    _, _, whole = submitted(ready, "cnn", *words)
    run = only_run(ready.muster("submit", "cnn", *words, "-d").ok())
    epochs = 2 + secrets.randbelow(6)

    def told() -> bool:
        return f"epoch {epochs} of 10" in ready.muster("logs", run).output

    eventually(told, 180, f"epoch {epochs}")
    ready.ssh(ready.master, f"sudo systemctl kill -s KILL 'muster-job@{run}.service'", "muster").ok()
    eventually(lambda: runs(ready)[run]["state"] == "failed", 60, "it has ended")
    ready.muster("submit", "cnn", f"resume={run}", "epochs=11", timeout=TIMEOUT).refused(
        f"epochs=11: {run} was begun with epochs=10"
    )
    _, folder, again = submitted(ready, "cnn", f"resume={run}")
    noted = json.loads((folder / "parameters.json").read_text())
    assert [noted[name] for name in ("resume", "epochs", "seed", "patience")] == [run, 10, 5, 8]
    timed = {"seconds", "train_seconds"}
    assert {key: again[key] for key in again if key not in timed} == {
        key: whole[key] for key in whole if key not in timed
    }


@pytest.mark.long
def test_other_networks_outputs_and_classes(ready):
    _, _, metrics = submitted(ready, "cnn", "only=0,4", "output=ordinal", "balance=weights", "epochs=4")
    assert metrics["accuracy"] > 0.97 and sum(each["rows"] > 0 for each in metrics["classes"]) == 2
    assert metrics["holdout_rows"] < 90
    for network in ("2015", "mlp"):
        _, _, metrics = submitted(ready, "cnn", f"network={network}", "epochs=12")
        assert metrics["accuracy"] > 0.93, network


@pytest.mark.long
def test_several_nodes_learn_what_one_learns(ready):
    words = ["epochs=6", "dropout=0"]
    (_, _, one), (_, _, two), (_, _, all_of_them) = (
        submitted(ready, "cnn", *words, f"nodes={nodes}") for nodes in (1, 2, 0)
    )
    assert (one["nodes"], two["nodes"], all_of_them["nodes"]) == (1, 2, 3)
    for several in (two, all_of_them):
        assert several["losses"] == pytest.approx(one["losses"], abs=0.02)
        assert several["accuracy"] == pytest.approx(one["accuracy"], abs=0.01)
        sys.stdout.write(
            f"{several['nodes']} nodes {several['train_seconds']} s, one {one['train_seconds']} s\n"
        )
    ready.muster("submit", "cnn", "nodes=9", timeout=TIMEOUT).refused("nodes=9: the cluster has 3")


@pytest.mark.long
def test_pictures_grow(ready):
    ready.playbook("main.yml", "-e", "IMAGE_SIZE=32").ok()
    _, _, metrics = submitted(ready, "cnn", "sizes=16,32", "epochs=8")
    assert metrics["image_size"] == 32 and metrics["accuracy"] > 0.97
    ready.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()


@pytest.mark.long
def test_a_grid_compares_models_and_variants(ready):
    words = ["models=mlp,boosting", "variants=raw,varying", "epochs=4", "rounds=20"]
    run, folder, metrics = submitted(ready, "grid", *words)
    assert {variant: set(row) for variant, row in metrics["accuracies"].items()} == {
        variant: {"mlp", "boosting"} for variant in ("raw", "varying")
    }
    assert all(each > 0.8 for row in metrics["accuracies"].values() for each in row.values())
    assert (folder / "grid.png").read_bytes().startswith(b"\x89PNG")
    for each in ("varying_mlp", "raw_boosting"):
        one = json.loads((folder / each / "metrics.json").read_text())
        _, _, said = submitted(ready, "predict", f"model={run}/{each}", "part=holdout")
        assert said["accuracy"] == pytest.approx(one["accuracy"], abs=1e-6), each
    ready.muster("submit", "grid", "models=svm", timeout=TIMEOUT).refused("'svm' is none of cnn, resnet")


@pytest.mark.long
def test_a_gpu_that_is_not_there_is_an_error(ready):
    ready.muster("submit", "cnn", "device=gpu", timeout=TIMEOUT).refused("PyTorch sees no GPU on this node")
