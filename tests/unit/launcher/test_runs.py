"""Which run's model answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from answering import Desk
from in_hdfs import Below
from runs import NoModel, Run, ranked

from muster_node.hdfs.folder import Folder

A, B, C = ("cnn-20261129-100000-aaaa", "cnn-20261129-110000-bbbb", "cnn-20261129-120000-cccc")


def run(name: str, **metrics: object) -> Run:
    known = {"dataset": "d", "image_size": 2, "pixels": 4, "class_names": ["0", "1"], "accuracy": 0.5}
    return Run(name, known | metrics, Below(Folder(Path("nowhere")), "/"))


def test_the_best_is_the_most_accurate_and_of_equal_ones_the_youngest() -> None:
    runs = [run(A, accuracy=0.9), run(B, accuracy=0.9), run(C, accuracy=0.8)]
    assert [each.name for each in ranked(runs, dataset="d", grades=False)] == [B, A, C]


def test_grades_are_ranked_by_their_kappa() -> None:
    runs = [run(A, accuracy=0.9, quadratic_weighted_kappa=0.1), run(B, quadratic_weighted_kappa=0.4)]
    assert [each.name for each in ranked(runs, dataset="d", grades=True)] == [B, A]
    assert [each.name for each in ranked(runs, dataset="d", grades=False)] == [A, B]
    assert ranked(runs, dataset="d", grades=True)[0].headline(grades=True) == ("kappa", 0.4)


def test_of_two_engines_that_counts_which_answers_here() -> None:
    engines = {"spark": {"accuracy": 0.9}, "sklearn": {"accuracy": 0.7}}
    assert run(A, accuracy=0.9, engines=engines).headline(grades=False) == ("accuracy", 0.7)


def test_runs_of_other_data_and_what_knows_no_pictures_do_not_count() -> None:
    runs = [
        run(A, dataset="other"),
        run(B, class_names=None),
        run(C, accuracy=None),
        run("x", image_size="2"),
    ]
    assert ranked(runs, dataset="d", grades=False) == []


def test_without_a_model_it_says_so(desk: Desk, cluster) -> None:
    with pytest.raises(NoModel, match="There is no model of lamps yet: train one, for example with ./muster"):
        desk.choose()
    cluster.run(A, model=False, accuracy=1.0)
    with pytest.raises(NoModel, match="There is no model of lamps yet"):
        desk.choose()


def test_the_best_that_has_saved_a_model_answers_also_when_it_comes_later(desk: Desk, cluster) -> None:
    cluster.run(A, accuracy=0.7)
    cluster.run(B, model=False, accuracy=0.9)
    assert (desk.choose().run.name, desk.choose().value) == (A, 0.7)
    cluster.run(C, accuracy=0.8)
    assert (desk.choose().run.name, desk.choose().rule) == (C, "the best of 3 runs")


def test_a_pinned_run_answers_until_the_best_is_asked_for_again(desk: Desk, cluster, tmp_path) -> None:
    cluster.run(A, accuracy=0.7)
    cluster.run(B, accuracy=0.8)
    assert desk.pin(A).run.name == A
    assert Desk(cluster.results, "lamps", 1 << 20, tmp_path).choose().rule == "pinned", "after a restart, too"
    assert desk.pin("").run.name == B


@pytest.mark.parametrize("name", ["nobody-20261129-100000-aaaa", "..", "a/b", ""])
def test_what_is_no_run_cannot_be_pinned(desk: Desk, cluster, name: str) -> None:
    cluster.run(A)
    if name:
        with pytest.raises(NoModel, match="is no run with a model of pictures"):
            desk.pin(name)
    assert desk.choose().run.name == A


def test_a_run_without_a_model_cannot_be_pinned(desk: Desk, cluster) -> None:
    cluster.run(A)
    cluster.run(B, model=False)
    with pytest.raises(NoModel, match=f"{B} has saved no model that can answer here"):
        desk.pin(B)
    assert desk.choose().run.name == A


def test_a_set_that_is_not_staged_is_said(desk: Desk, cluster) -> None:
    cluster.run(A, dataset="gone")
    with pytest.raises(NoModel, match="gone is not in HDFS; ./muster up stages it"):
        desk.pin(A)


def grid(cluster, name: str, **cells: float | None) -> None:
    """A run of `grid` with a run of each cell in it."""
    table: dict[str, dict[str, float | None]] = {}
    for cell, accuracy in cells.items():
        variant, model = cell.split("_")
        table.setdefault(variant, {})[model] = accuracy
        if accuracy is not None:
            cluster.run(f"{name}/{cell}", accuracy=accuracy, variant=variant)
    text = json.dumps({"job": "grid", "dataset": "lamps", "accuracy": 0.9, "accuracies": table})
    (cluster.root / "results" / name / "metrics.json").write_text(text)


def test_a_grids_models_answer_each_under_its_name(desk: Desk, cluster) -> None:
    cluster.run(A, accuracy=0.7)
    grid(cluster, B, raw_mlp=0.8, scaled_cnn=0.9, varying_cnn=None)
    assert (desk.ready().run.name, desk.ready().rule) == (f"{B}/scaled_cnn", "the best of 3 runs")
    assert desk.pin(f"{B}/raw_mlp").run.variant == "raw"
    with pytest.raises(NoModel, match=f"{B} is no run with a model of pictures"):
        desk.pin(B)


def test_of_equal_runs_the_younger_answers_also_within_a_grid(desk: Desk, cluster) -> None:
    cluster.run(A, accuracy=0.9)
    grid(cluster, B, raw_mlp=0.9)
    assert desk.choose().run.name == f"{B}/raw_mlp"
    cluster.run(C, accuracy=0.9)
    assert desk.choose().run.name == C


@pytest.mark.parametrize("table", [{"raw": None}, {"..": {"/": 1}}, [1], {"raw": {"mlp": 0.5}}])
def test_what_a_grid_says_of_itself_is_not_believed(desk: Desk, cluster, table: object) -> None:
    cluster.run(B, model=False)
    metrics = cluster.root / "results" / B / "metrics.json"
    metrics.write_text(json.dumps({"accuracies": table}))
    with pytest.raises(NoModel, match="There is no model of lamps yet"):
        desk.choose()
