"""The built-in models on a real cluster: quick, right, and Spark ML's own once they are saved."""

from __future__ import annotations

import json

import pytest

from provision.core.paths import PROJECT
from tests.system.runs import only_run

pytestmark = pytest.mark.long

LOAD = """\
import sys
from pyspark.ml.classification import LogisticRegressionModel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession, functions as sql
spark = SparkSession.builder.getOrCreate()
model = LogisticRegressionModel.load(sys.argv[1])
lines = spark.read.text("/datasets/digits/holdout_16", pathGlobFilter="part-*.csv*")
cells = lines.select(sql.split("value", ",").cast("array<double>").alias("cells"))
pixels = sql.transform(sql.expr("slice(cells, 2, size(cells) - 1)"), lambda cell: cell / 255)
rows = cells.select(sql.expr("cells[0]").alias("label"), array_to_vector(pixels).alias("features"))
print("right", model.transform(rows).where("label = prediction").count())
"""


@pytest.fixture(scope="module")
def cluster(two_nodes):
    """The module's cluster."""
    return two_nodes


def results(run):
    """Return the folder of the one run that a command has told of, and its metrics."""
    folder = PROJECT / "results" / only_run(run)
    return folder, json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def trained(cluster):
    """Return the folder and the metrics of a regression with its defaults."""
    return results(cluster.muster("submit", "logistic_regression").ok())


def test_small_data_is_quick(trained):
    folder, metrics = trained
    assert metrics["accuracy"] >= 0.93 and metrics["quadratic_weighted_kappa"] >= 0.9
    assert len(metrics["classes"]) == 10 and all(each["recall"] > 0.8 for each in metrics["classes"])
    assert metrics["train_seconds"] < 15, "5 on an idle computer of two cores"
    for name in ("confusion_matrix.png", "worst.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_the_model_is_sparks_own(cluster, trained, tmp_path):
    folder, metrics = trained
    program = tmp_path / "load.py"
    program.write_text(LOAD)
    run = cluster.muster("submit", str(program), "--", f"/results/{folder.name}/model").ok()
    right = round(metrics["accuracy"] * metrics["holdout_rows"])
    assert f"right {right}" in run.output, run.report()


def test_parameters(cluster):
    run = cluster.playbook(
        "submit.yml",
        "-e",
        "JOB=logistic_regression",
        "-e",
        "PARAMS='sample=0.5 balance=weights l1=0.5 iterations=20'",
    )
    _, metrics = results(run.ok())
    assert 600 < metrics["train_rows"] < 850 and metrics["iterations"] <= 20 and metrics["accuracy"] > 0.85
    cluster.muster("submit", "logistic_regression", "penalty=3").refused("unknown parameter 'penalty'")
    cluster.muster("submit", "logistic_regression", "l1=3").refused("l1=3: has to be a number, 0 to 1")


def test_predictions_of_one_class_are_told(cluster):
    # Of all rows three classes are equally many, so that no single one is the likeliest; of these one is.
    words = ("regularisation=1e9", "iterations=1", "sample=0.3")
    run = cluster.muster("submit", "logistic_regression", *words).ok()
    assert "WARNING: 100.0% of the predictions are class" in run.output, run.report()


def test_a_copy_gives_the_same(cluster, trained, tmp_path):
    folder = tmp_path / "mine"
    cluster.muster("submit", "--example", "logistic_regression", str(folder)).ok()
    _, metrics = results(cluster.muster("submit", f"{folder}/").ok())
    timed = {"seconds", "train_seconds"}
    assert {key: value for key, value in metrics.items() if key not in timed} == {
        key: value for key, value in trained[1].items() if key not in timed
    }


def test_one_node_does_the_same(cluster, trained):
    """Scikit-learn, for the comparison."""
    folder, metrics = results(cluster.muster("submit", "baseline").ok())
    assert (folder / "worst.png").read_bytes().startswith(b"\x89PNG")
    assert metrics["accuracy"] == pytest.approx(trained[1]["accuracy"], abs=0.02)
    assert metrics["holdout_rows"] == trained[1]["holdout_rows"]


def test_one_node_takes_a_sample_too(cluster):
    _, metrics = results(cluster.muster("submit", "baseline", "sample=0.5", "balance=weights").ok())
    assert 600 < metrics["train_rows"] < 850 and metrics["accuracy"] > 0.85
    cluster.muster("submit", "baseline", "sample=0.0001").refused(
        "of 0 rows taken none tell two classes apart"
    )


def test_large_pictures_are_trained_on_by_all_executors(cluster):
    cluster.playbook("main.yml", "-e", "IMAGE_SIZE=256").ok()
    _, metrics = results(cluster.muster("submit", "logistic_regression", "size=256", "iterations=15").ok())
    assert metrics["pixels"] == 65_536 and metrics["parts"] >= 2
    assert metrics["accuracy"] >= 0.9
