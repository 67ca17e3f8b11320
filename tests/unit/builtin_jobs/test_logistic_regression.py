"""The pure parts of jobs/logistic_regression."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from provision.core.paths import PROJECT

np = pytest.importorskip("numpy")
JOB = PROJECT / "jobs" / "logistic_regression"


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(JOB))
    for name in ("main", "scores", "picture"):
        monkeypatch.delitem(importlib.import_module("sys").modules, name, raising=False)
    return importlib.import_module("main")


def test_perfect_prediction(job: ModuleType) -> None:
    summary = job.scores.summary(np.diag([3, 4, 5]))
    assert summary["accuracy"] == 1.0
    assert summary["quadratic_weighted_kappa"] == 1.0
    assert [score["recall"] for score in summary["classes"]] == [1.0, 1.0, 1.0]


def test_confusion_counts_pairs(job: ModuleType) -> None:
    matrix = job.scores.confusion([(0, 0, 5), (0, 1, 1), (1, 1, 3), (0, 1, 1)], classes=3)
    assert matrix.tolist() == [[5, 2, 0], [0, 3, 0], [0, 0, 0]]
    assert job.scores.accuracy(matrix) == 0.8


def test_a_class_without_rows_scores_zero_not_nan(job: ModuleType) -> None:
    scores = job.scores.class_scores(np.array([[2, 0], [0, 0]]))
    assert (scores[1].precision, scores[1].recall, scores[1].rows) == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("matrix", "kappa"), [([[0, 0], [0, 0]], 0.0), ([[4, 0], [0, 0]], 1.0), ([[2, 2], [2, 2]], 0.0)]
)
def test_kappa_at_the_edges(job: ModuleType, matrix: list[list[int]], kappa: float) -> None:
    assert job.scores.weighted_kappa(np.array(matrix)) == kappa


def test_far_mistakes_cost_more_than_near_ones(job: ModuleType) -> None:
    near, far = np.diag([5, 5, 5, 5, 5]), np.diag([5, 5, 5, 5, 5])
    near[0, 1], far[0, 4] = 2, 2
    assert job.scores.weighted_kappa(far) < job.scores.weighted_kappa(near) < 1


def test_scores_agree_with_scikit_learn(job: ModuleType) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(7)
    true = generator.integers(0, 5, 400)
    predicted = np.clip(true + generator.integers(-1, 3, 400), 0, 4)
    matrix = job.scores.confusion([(int(t), int(p), 1) for t, p in zip(true, predicted, strict=True)], 5)
    assert job.scores.weighted_kappa(matrix) == pytest.approx(
        metrics.cohen_kappa_score(true, predicted, weights="quadratic")
    )
    assert job.scores.accuracy(matrix) == pytest.approx(metrics.accuracy_score(true, predicted))
    precision = metrics.precision_score(true, predicted, average=None, zero_division=0)
    assert [score.precision for score in job.scores.class_scores(matrix)] == pytest.approx(list(precision))


@pytest.mark.parametrize(
    ("rows", "columns", "cores", "parts"),
    [
        (1437, 256, 4, 1),
        (1437, 4096, 4, 4),
        (1437, 4096, 40, 6),
        (28_000, 65_536, 24, 240),
        (28_000, 65_536, 100, 300),
    ],
)
def test_partitions_use_every_core_and_stay_small(
    job: ModuleType, rows: int, columns: int, cores: int, parts: int
) -> None:
    assert job.partitions(rows=rows, columns=columns, cores=cores) == parts
    assert rows * columns * 8 / parts <= job.LARGEST_PART


def test_defaults_come_from_the_environment(job: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_IMAGE_SIZE", "128")
    monkeypatch.setenv("MUSTER_DATASET", "retina")
    monkeypatch.setenv("MUSTER_RUN", "lr-1")
    options = job.arguments([])
    assert (options.size, options.data, options.output) == (128, "/datasets/retina", "/results/lr-1")
    assert job.arguments(["--size", "16"]).size == 16


def test_picture_is_a_png(job: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    job.picture.draw_confusion(np.diag([3, 4, 5]), title="t", subtitle="s", path=tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
