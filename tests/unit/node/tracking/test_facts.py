"""What MLflow is told of a run: pure functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster_node.tracking import facts
from muster_node.tracking.settings import Settings

SETTINGS = Settings("http://pond-master:5000", "jobs", "x", "pond", "0123abcd")
MACHINE = {"name": "pond-master", "group": "master", "cores": 2, "memory_gb": 3.0, "gpus": 0}


def figures(**told: object) -> dict[tuple[str, int], float]:
    return {(each["key"], each["step"]): each["value"] for each in facts.figures(told, 5.0)}


def test_numbers_are_metrics_and_words_are_none() -> None:
    assert figures(accuracy=0.9, rows=3, network="small", mixed=True, nothing=None) == {
        ("accuracy", 0): 0.9,
        ("rows", 0): 3,
    }


def test_lists_of_numbers_are_values_over_steps() -> None:
    assert figures(losses=[3.0, 2.0]) == {("loss", 1): 3.0, ("loss", 2): 2.0}
    assert figures(validation=[{"loss": 1.0, "accuracy": 0.5}]) == {
        ("validation.loss", 1): 1.0,
        ("validation.accuracy", 1): 0.5,
    }


def test_classes_have_scores_of_their_own_and_a_matrix_none() -> None:
    told = figures(
        classes=[{"label": 0, "recall": 0.5}, {"label": 1, "recall": 1.0}], confusion_matrix=[[1, 2]]
    )
    assert told == {("classes.0.recall", 0): 0.5, ("classes.1.recall", 0): 1.0}


def test_engines_lie_side_by_side_and_names_are_such_as_mlflow_takes() -> None:
    assert figures(spark={"accuracy": 0.5}, **{"F2 (%)": 1}) == {("spark.accuracy", 0): 0.5, ("F2 ___", 0): 1}


def test_what_is_no_number_to_compare_is_left_out() -> None:
    assert figures(loss=float("nan"), losses=[1.0, float("inf")], empty=[], words=["a"]) == {}


def test_the_machines_in_words() -> None:
    worker = {**MACHINE, "group": "worker", "memory_gb": 2.0}
    gpu = {**MACHINE, "group": "gpu", "gpus": 1, "memory_gb": 61.5}
    assert facts.shape([MACHINE, worker, worker, gpu]) == (
        "1 master (2 cores, 3 GB), 2 worker (2 cores, 2 GB), 1 gpu (2 cores, 61.5 GB, 1 GPU)"
    )


def test_tags_say_where_a_run_belongs_and_nothing_that_is_not_known() -> None:
    record = {
        "run": "cnn-1",
        "name": "cnn",
        "kind": "builtin",
        "sender": "katie",
        "machines": [MACHINE],
        "code": "",
    }
    tags = facts.tags(SETTINGS, record, {"MUSTER_DATASET": "digits", "MUSTER_IMAGE_SIZE": "16"})
    assert tags == {
        "muster.run": "cnn-1", "muster.job": "cnn", "muster.kind": "builtin", "muster.dataset": "digits",
        "muster.size": "16", "muster.cluster": "pond", "muster.cluster_id": "0123abcd", "muster.sender": "katie",
        "muster.shape": "1 master (2 cores, 3 GB)", "mlflow.runName": "cnn-1", "mlflow.user": "katie",
    }  # fmt: skip


def test_the_end_says_what_it_cost_and_where_the_model_lies(tmp_path: Path) -> None:
    (tmp_path / "estimator").mkdir()
    (tmp_path / facts.METRICS).write_text('{"dataset": "eyes", "image_size": 64, "headline": "kappa"}')
    record = {"state": "failed", "seconds": 61.0, "cost": 0.12345, "reason": "disk full"}
    assert facts.ending(record, tmp_path) == {
        "muster.state": "failed", "muster.seconds": "61.0", "muster.cost": "0.1235", "muster.model": "estimator",
        "muster.headline": "kappa", "muster.dataset": "eyes", "muster.size": "64", "mlflow.note.content": "disk full",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "tag"),
    [("boosted", "boosted"), ("raw_mlp/network", "network"), ("model/data", "model"), ("plots", None)],
)
def test_a_run_that_has_saved_a_model_says_so_also_of_the_runs_within_it(
    tmp_path: Path, folder: str, tag: str | None
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert facts.ending({"state": "succeeded", "seconds": 1.0}, tmp_path).get("muster.model") == tag


def test_defaults_stand_beside_what_was_given() -> None:
    told = {"epochs": 3, "mixed": False, "network": "small"}
    assert facts.params({"args": ["epochs=3", "-v"]}, told) == {
        "epochs": "3",
        "mixed": "false",
        "network": "small",
    }


def test_a_file_that_is_no_json_object_says_nothing(tmp_path: Path) -> None:
    for text in ("", "[1]", "{", "[" * 100_000):
        (tmp_path / "x").write_text(text)
        assert facts.read(tmp_path / "x") == {}
    assert facts.read(tmp_path) == {}
