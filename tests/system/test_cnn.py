"""cnn on the shared cluster: a network learns the digits, and `predict` knows it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from provision.core.paths import PROJECT
from tests.system.lab import Lab
from tests.system.runs import only_run

TIMEOUT = 600


def submitted(lab: Lab, *words: str) -> tuple[str, Path, dict[str, Any]]:
    """Submit a job; return its run, the folder of its results here, and its metrics."""
    run = only_run(lab.muster("submit", *words, timeout=TIMEOUT).ok())
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


@pytest.mark.long
def test_a_gpu_that_is_not_there_is_an_error(ready):
    ready.muster("submit", "cnn", "device=gpu", timeout=TIMEOUT).refused("PyTorch sees no GPU on this node")
