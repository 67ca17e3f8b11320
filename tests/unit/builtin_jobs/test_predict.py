"""The pure parts of jobs/predict."""

from __future__ import annotations

import csv
import importlib
import io
import sys
from collections import Counter

import pytest

from muster_node.sets import Manifest
from provision.core.paths import PROJECT

pytest.importorskip("numpy")
JOB = PROJECT / "jobs" / "predict"
NAMES = ["none", "mild, or less", 'so-called "severe"']


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Return what imports one of the job's modules, none of which another job has left behind."""
    monkeypatch.syspath_prepend(str(JOB))
    for name in ("main", "parameters", "answers", "trained"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_all_that_is_known_of_a_row_is_written(module):
    answers, target = module("answers"), io.StringIO()
    said = [answers.Answer('left/1, "a".png', None, (0.2, 0.7, 0.1)), answers.Answer("2", None, (0, 0, 1.0))]
    answers.write(target, said, NAMES, truths=False)
    assert read(target.getvalue()) == [
        ["id", "class", "p_none", "p_mild, or less", 'p_so-called "severe"'],
        ['left/1, "a".png', "mild, or less", "0.2", "0.7", "0.1"],
        ["2", 'so-called "severe"', "0", "0", "1"],
    ]


def test_labels_stand_beside_what_is_said_of_rows_that_have_them(module):
    answers, target = module("answers"), io.StringIO()
    answers.write(target, [answers.Answer("0", 0, (0.4, 0.6, 0.0))], NAMES, truths=True)
    rows = list(csv.DictReader(io.StringIO(target.getvalue())))
    assert rows[0]["label"] == "none" and rows[0]["class"] == "mild, or less"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("10_left.jpeg", "10_left"),
        ("a/b.c/7", "a/b.c/7"),
        ("a/.hidden", "a/.hidden"),
        ("v1.2_x.PNG", "v1.2_x"),
    ],
)
def test_the_form_of_a_competition(module, name: str, short: str):
    answers = module("answers")
    for endings, expected in ((False, short), (True, name)):
        target = io.StringIO()
        answers.write_for_competition(
            target, [answers.Answer(name, None, (0.1, 0.9))], ["0", "1"],
            columns=("image", "level"), endings=endings,
        )  # fmt: skip
        assert read(target.getvalue()) == [["image", "level"], [expected, "1"]]


@pytest.mark.parametrize(
    "model", ["random_forest-20261129-054012-ab12", "/results/lr-1/", "hdfs:/results/lr-1", "/results/lr-1"]
)
def test_a_model_is_named_by_its_run_or_its_folder(module, model: str):
    assert module("trained").run_of(model) in ("random_forest-20261129-054012-ab12", "lr-1")


def test_a_model_of_a_grid_is_named_with_its_folder(module):
    assert module("trained").run_of("/results/grid-1/raw_cnn") == "grid-1/raw_cnn"


@pytest.mark.parametrize(
    "model",
    ["", "/tmp/model", "../../tmp/x", "/results/../tmp", "/results", "s3a://bucket/m", "a/b", "/results/a/b"],
)
def test_no_model_from_elsewhere_is_loaded(module, model: str):
    trained = module("trained")
    with pytest.raises(trained.BadChoice, match="only models below /results"):
        trained.run_of(model)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (
            Manifest(set="test_32", size=32, columns=1025),
            "256 values of a 16x16 picture; test_32 of eyes has 1,024",
        ),
        (Manifest(set="test_16", size=16, columns=769), "test_16 of eyes has 768 of 16x16"),
        (
            Manifest(set="test_16", size=16, columns=257, classes={"a": 0}),
            "knows 2 classes (a, b), and eyes has others (a)",
        ),
        (
            Manifest(set="test_16", size=16, columns=257, classes={"b": 0, "a": 1}),
            "knows 2 classes (a, b), and eyes has others (b, a)",
        ),
    ],
)
def test_a_set_of_another_kind_is_refused_in_a_line(module, about: Manifest, said: str):
    trained = module("trained")
    model = trained.Trained("lr-1", "spark", {"image_size": 16, "pixels": 256, "class_names": ["a", "b"]})
    with pytest.raises(trained.BadChoice) as refusal:
        model.require_fit(about, "eyes")
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
    model.require_fit(Manifest(size=16, columns=257, classes={"a": 0, "b": 1}), "eyes")


def test_pictures_are_normalised_as_those_that_the_model_was_trained_on(module):
    trained = module("trained")
    known = {"image_size": 16, "pixels": 768}
    for metrics, channels in (({}, 0), ({"normalise": False}, 0), ({"normalise": True}, 3)):
        assert trained.Trained("lr-1", "spark", known | metrics).normalised == channels


def test_a_model_of_several_labels_is_refused_in_a_line(module):
    trained = module("trained")
    model = trained.Trained("cnn-1", "torch", {"image_size": 16, "pixels": 256, "output": "several"})
    with pytest.raises(trained.BadChoice, match="cnn-1 gives an image several labels"):
        model.require_fit(Manifest(size=16, columns=257), "eyes")


def test_answers_are_counted_on_their_way(module):
    main, tally = module("main"), Counter()
    found = [(0, "1", (0.1, 0.9)), (1, "0", (0.3, 0.7)), (2, "1", (0.0, 1.0))]
    answers = list(main.tallied(found, tally, truths=True))
    assert [(one.id, one.truth, one.said) for one in answers] == [("0", 1, 1), ("1", 0, 1), ("2", 1, 1)]
    assert main.scored(tally, 2)["confusion_matrix"] == [[0, 1], [0, 2]]
    assert [one.id for one in main.tallied([(7, "x.png", (1.0,))], Counter(), truths=False)] == ["x.png"]
