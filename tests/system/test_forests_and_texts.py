"""random_forest, boosting, text_classification and predict on the shared cluster, from `submit` to the files at home."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from provision.core.paths import PROJECT
from tests.system.lab import Lab

pytestmark = pytest.mark.long
TIMEOUT = 1200


def submitted(lab: Lab, *words: str) -> tuple[str, Path, dict[str, Any]]:
    """Submit a job; return its run, the folder of its results here, and its metrics."""
    output = lab.muster("submit", *words, timeout=TIMEOUT).ok().output
    run = re.findall(rf"\b{words[0]}-\d{{8}}-\d{{6}}-[0-9a-f]{{4}}\b", output)[0]
    folder = PROJECT / "results" / run
    return run, folder, json.loads((folder / "metrics.json").read_text())


def predictions(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def forest(_shared: Lab) -> tuple[str, Path, dict[str, Any]]:
    return submitted(_shared, "random_forest", "trees=60", "max_depth=10", "engine=both")


@pytest.fixture(scope="module")
def truth(_shared: Lab) -> list[str]:
    """The labels of the held-out digits in the order of their rows, read without any of our readers."""
    script = "for file in $(hdfs dfs -ls -C '/datasets/digits/holdout_16/part-*.csv.gz' | sort); do hdfs dfs -cat $file | zcat; done"
    return [row[0] for row in csv.reader(_shared.ssh(_shared.master, script).ok().answer.splitlines())]


def test_both_engines_grow_a_good_forest(forest):
    _, folder, metrics = forest
    assert set(metrics["engines"]) == {"spark", "sklearn"}
    for name, found in metrics["engines"].items():
        assert found["accuracy"] > 0.94, (name, found["accuracy"])
        assert found["train_seconds"] > 0 and len(found["classes"]) == 10
        assert (folder / f"confusion_matrix_{name}.png").read_bytes().startswith(b"\x89PNG")
    assert metrics["accuracy"] == max(found["accuracy"] for found in metrics["engines"].values())


@pytest.mark.parametrize("engine", ["spark", "sklearn"])
def test_a_forest_predicts_what_it_was_scored_with(ready, forest, truth, engine):
    run, _, metrics = forest
    _, folder, said = submitted(ready, "predict", f"model={run}", "part=holdout", f"engine={engine}")
    rows = predictions(folder)
    assert [row["label"] for row in rows] == truth
    right = sum(row["class"] == label for row, label in zip(rows, truth, strict=True)) / len(truth)
    assert right == pytest.approx(metrics["engines"][engine]["accuracy"], abs=1e-6) and right > 0.94
    assert said["accuracy"] == pytest.approx(right, abs=1e-6)
    for row in rows:
        shares = {name: float(row[f"p_{name}"]) for name in map(str, range(10))}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
        assert shares[row["class"]] == max(shares.values())


def test_logistic_regression_predicts_in_the_form_of_a_competition(ready, truth):
    run, _, metrics = submitted(ready, "logistic_regression")
    words = ["form=competition", "id_column=digit", "label_column=value", "part=holdout"]
    _, folder, _ = submitted(ready, "predict", f"model=/results/{run}", *words)
    rows = predictions(folder)
    assert list(rows[0]) == ["digit", "value"]
    assert [row["digit"] for row in rows] == [str(place) for place in range(len(truth))]
    right = sum(row["value"] == label for row, label in zip(rows, truth, strict=True)) / len(truth)
    assert right == pytest.approx(metrics["accuracy"], abs=1e-6)


def test_boosted_trees_predict_what_they_were_scored_with(ready, truth):
    run, folder, metrics = submitted(ready, "boosting")
    assert metrics["accuracy"] > 0.95 and metrics["rounds"] <= 100
    for name in ("confusion_matrix.png", "worst.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    _, folder, said = submitted(ready, "predict", f"model={run}", "part=holdout")
    right = sum(row["class"] == label for row, label in zip(predictions(folder), truth, strict=True))
    assert said["engine"] == "xgboost" and said["accuracy"] == pytest.approx(metrics["accuracy"], abs=1e-6)
    assert right / len(truth) == pytest.approx(metrics["accuracy"], abs=1e-6)
    ready.muster("submit", "boosting", "rounds=100000", "max_depth=16", timeout=TIMEOUT).refused(
        r"digits at 16x16 does not fit: boosting may take [\d,]+ MiB, and the master has"
    )


@pytest.mark.parametrize("job", ["logistic_regression", "baseline", "random_forest", "boosting"])
def test_what_was_trained_on_normalised_pictures_is_asked_with_such(ready, job):
    more = {"random_forest": ("trees=30", "max_depth=10"), "boosting": ("rounds=50",)}
    run, _, metrics = submitted(ready, job, "normalise=true", *more.get(job, ()))
    assert metrics["normalise"] and metrics["accuracy"] > 0.9
    for engine, found in metrics.get("engines", {"best": metrics}).items():
        _, _, said = submitted(ready, "predict", f"model={run}", "part=holdout", f"engine={engine}")
        assert said["accuracy"] == pytest.approx(found["accuracy"], abs=1e-6)


def test_nodes_may_see_a_share_each(ready):
    _, _, metrics = submitted(
        ready, "random_forest", "engine=sklearn", "share=0.5", "balance=weights", "trees=60"
    )
    assert metrics["accuracy"] > 0.9 and list(metrics["engines"]) == ["sklearn"]


def test_both_engines_are_given_the_same_sample(ready):
    _, _, metrics = submitted(ready, "random_forest", "sample=0.5", "trees=30", "max_depth=10")
    assert 600 < metrics["train_rows"] < 850
    assert all(found["accuracy"] > 0.88 for found in metrics["engines"].values())


def test_a_forest_that_may_be_too_large_is_refused_before_any_is_grown(ready):
    run = ready.muster("submit", "random_forest", "trees=20000", timeout=TIMEOUT)
    run.refused(r"20,000 trees may take .* of the driver's heap, which has")
    assert "scikit-learn:" not in run.output, run.report()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model=nobody-1",), "there is no model of a run nobody-1"),
        (("model=/tmp/model",), "only models below /results are loaded"),
        ((), "say which run's, model=RUN"),
        (("model={run}",), "digits has no test set.*part=holdout"),
        (("model={run}", "dataset=others", "part=holdout"), "There is no /datasets/others/holdout_16"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_a_line(ready, forest, words, said):
    given = [word.format(run=forest[0]) for word in words]
    ready.muster("submit", "predict", *given, timeout=TIMEOUT).refused(said)


def test_texts_of_the_package_index(ready, tmp_path):
    run, _, metrics = submitted(ready, "text_classification", "rounds=3")
    assert metrics["accuracy"] > 0.6 > 3 * metrics["majority_share"]
    assert metrics["models"] > 1 and metrics["vectorize_mb_per_second"] > 0
    _, _, alone = submitted(ready, "text_classification", "rounds=3", "average=false")
    assert alone["models"] == 1 and abs(alone["accuracy"] - metrics["accuracy"]) < 0.1
    asked = tmp_path / "asked"
    asked.mkdir()
    (asked / "asked.tsv").write_text(
        "a\tdevelopment headers and static library for C\nb\tPerl module for parsing dates\n"
    )
    ready.muster("put", str(asked), "hdfs:/user/hadoop/asked").ok()
    _, folder, _ = submitted(ready, "predict", f"model={run}", "data=/user/hadoop/asked")
    assert [(row["id"], row["class"]) for row in predictions(folder)] == [("a", "libdevel"), ("b", "perl")]


def test_texts_of_ones_own(ready, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    lines = [
        f"{label}\t{word} number {place}"
        for place in range(400)
        for label, word in (("x", "sun"), ("y", "sea"))
    ]
    (own / "own.tsv").write_text("\n".join(lines) + "\n")
    ready.muster("put", str(own), "hdfs:/user/hadoop/own").ok()
    _, _, metrics = submitted(ready, "text_classification", "data=/user/hadoop/own", "bits=12")
    assert metrics["accuracy"] == 1.0 and metrics["class_names"] == ["x", "y"]
    ready.muster("submit", "text_classification", "data=/text/nowhere", timeout=TIMEOUT).refused(
        "there is no /text/nowhere"
    )
