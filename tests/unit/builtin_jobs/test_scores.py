"""Scores of a classifier."""

from __future__ import annotations

import numpy as np
import pytest
import scores


def test_perfect_prediction() -> None:
    summary = scores.summary(np.diag([3, 4, 5]))
    assert summary["accuracy"] == 1.0
    assert summary["quadratic_weighted_kappa"] == 1.0
    assert [score["recall"] for score in summary["classes"]] == [1.0, 1.0, 1.0]


def test_confusion_counts_pairs() -> None:
    matrix = scores.confusion([(0, 0, 5), (0, 1, 1), (1, 1, 3), (0, 1, 1)], classes=3)
    assert matrix.tolist() == [[5, 2, 0], [0, 3, 0], [0, 0, 0]]
    assert scores.accuracy(matrix) == 0.8


def test_a_class_without_rows_scores_zero_not_nan() -> None:
    found = scores.class_scores(np.array([[2, 0], [0, 0]]))
    assert (found[1].precision, found[1].recall, found[1].rows) == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("matrix", "kappa"), [([[0, 0], [0, 0]], 0.0), ([[4, 0], [0, 0]], 1.0), ([[2, 2], [2, 2]], 0.0)]
)
def test_kappa_at_the_edges(matrix: list[list[int]], kappa: float) -> None:
    assert scores.weighted_kappa(np.array(matrix)) == kappa


def test_far_mistakes_cost_more_than_near_ones() -> None:
    near, far = np.diag([5, 5, 5, 5, 5]), np.diag([5, 5, 5, 5, 5])
    near[0, 1], far[0, 4] = 2, 2
    assert scores.weighted_kappa(far) < scores.weighted_kappa(near) < 1


def test_scores_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(7)
    true = generator.integers(0, 5, 400)
    predicted = np.clip(true + generator.integers(-1, 3, 400), 0, 4)
    matrix = scores.confusion([(int(t), int(p), 1) for t, p in zip(true, predicted, strict=True)], 5)
    assert scores.weighted_kappa(matrix) == pytest.approx(
        metrics.cohen_kappa_score(true, predicted, weights="quadratic")
    )
    assert scores.accuracy(matrix) == pytest.approx(metrics.accuracy_score(true, predicted))
    precision = metrics.precision_score(true, predicted, average=None, zero_division=0)
    assert [score.precision for score in scores.class_scores(matrix)] == pytest.approx(list(precision))


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ([[96, 0], [4, 0]], "100.0% of the predictions are class 0, which 96.0% of the rows are"),
        ([[0, 50], [0, 50]], "100.0% of the predictions are class 1, which 50.0% of the rows are"),
        ([[94, 1], [0, 5]], ""),
        ([[0, 0], [0, 0]], ""),
    ],
)
def test_predictions_of_one_class_are_told(matrix: list[list[int]], said: str) -> None:
    assert scores.one_sided(np.array(matrix)) == said


def test_f2_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(3)
    true = generator.integers(0, 4, 300)
    predicted = np.clip(true + generator.integers(-1, 2, 300), 0, 4)
    matrix = scores.confusion([(int(t), int(p), 1) for t, p in zip(true, predicted, strict=True)], 5)
    asked = metrics.fbeta_score(true, predicted, beta=2, average="macro", labels=range(4), zero_division=0)
    assert scores.f2(matrix) == pytest.approx(asked)
    assert scores.f2(np.zeros((3, 3), dtype=np.int64)) == 0
