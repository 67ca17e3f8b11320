"""jobs/logistic_regression: what is minimised, how it is fitted, what is made of the parameters."""

from __future__ import annotations

import importlib
import sys
import tracemalloc
from types import ModuleType

import numpy as np
import pytest
from rows import Here

from muster_node.sets import Manifest
from provision.core.paths import PROJECT

JOB = PROJECT / "jobs" / "logistic_regression"


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(JOB))
    for path in JOB.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return importlib.import_module("main")


def digits(rows: slice) -> tuple[np.ndarray, np.ndarray]:
    data = pytest.importorskip("sklearn.datasets").load_digits()
    order = np.random.default_rng(3).permutation(len(data.target))[rows]
    return data.target[order].astype(np.int64), np.clip(data.data[order] * 16, 0, 255).astype(np.uint8)


def blocks(rows: slice) -> Here:
    labels, pixels = digits(rows)
    return Here((labels[at : at + 100], pixels[at : at + 100]) for at in range(0, len(labels), 100))


TRAIN, HOLDOUT = slice(0, 1400), slice(1400, None)


def fitted(job: ModuleType, *, iterations: int = 100, weights: np.ndarray | None = None, **settings: float):
    asked = job.fitting.Settings(
        **{"regularisation": 0.01, "l1": 0.0, "iterations": iterations, "steps": 10} | settings
    )
    return job.fit(
        blocks(TRAIN), columns=64, weights=np.ones(10) if weights is None else weights, settings=asked
    )


def test_executors_start_for_rows_that_the_driver_does_not_hold(job):
    from muster_node.footprint import HERE_BYTES
    from muster_node.sets import Manifest

    small = Manifest(rows=HERE_BYTES // 256, columns=257)
    large = Manifest(rows=HERE_BYTES // 256 + 1, columns=257)
    assert job.few(small, small)
    assert not job.few(small, large) and not job.few(large, small)


def test_the_gradient_is_the_slope_of_the_loss(job):
    slope, point = job.fitting.slope, job.fitting.Point
    generator = np.random.default_rng(1)
    data = [(generator.integers(0, 3, 20), generator.integers(0, 256, (20, 5)).astype(np.uint8))]
    weights = np.array([1.0, 2.0, 0.5])

    def at(coefficients: np.ndarray):
        mean, inverse = np.full(5, 120, np.float32), np.full(5, 0.01, np.float32)
        return slope(
            data, point(coefficients.astype(np.float32), np.zeros(3, np.float32), mean, inverse, weights)
        )

    here = generator.normal(size=(3, 5))
    for place in np.ndindex(3, 5):
        step = np.zeros((3, 5))
        step[place] = 0.01
        measured = (at(here + step).loss - at(here - step).loss) / 0.02
        assert at(here).coefficients[place] == pytest.approx(measured, abs=0.02)


def test_mean_and_deviation_are_those_of_weighted_rows(job):
    labels, pixels = digits(TRAIN)
    sums = job.fitting.sums
    found = sums([(labels[:700], pixels[:700])], (64, np.ones(10), 0)) + sums(
        [(labels[700:], pixels[700:])], (64, np.ones(10), 0)
    )
    mean, deviation = found.scale()
    assert mean == pytest.approx(pixels.mean(axis=0)) and deviation == pytest.approx(
        pixels.std(axis=0, ddof=1)
    )
    assert found.rows.tolist() == np.bincount(labels).tolist()
    twice = sums([(labels, pixels)], (64, np.full(10, 2.0), 0)).scale()
    assert twice[0] == pytest.approx(mean)


def test_the_optimum_is_scikit_learns(job, monkeypatch):
    linear = pytest.importorskip("sklearn.linear_model")
    monkeypatch.setattr(job.fitting, "TOLERANCE", 1e-9)
    ours = fitted(job, iterations=500)
    labels, pixels = digits(TRAIN)
    deviation = pixels.std(axis=0, ddof=1)
    deviation[deviation == 0] = 1
    standard = (pixels - pixels.mean(axis=0)) / deviation
    theirs = linear.LogisticRegression(C=1 / (0.01 * len(labels)), max_iter=1000, tol=1e-8).fit(
        standard, labels
    )
    assert ours.coefficients * deviation == pytest.approx(theirs.coef_, abs=0.01)


def test_digits_are_told_apart(job):
    found = fitted(job)
    judged = blocks(HOLDOUT).fold(job.judge, lambda a, b: a + b, found.point())
    assert job.scores.accuracy(judged.matrix) > 0.94
    assert judged.matrix.sum() == len(digits(HOLDOUT)[0])
    missed = judged.matrix.sum() - np.trace(judged.matrix)
    assert len(judged.worst) == min(40, missed)
    assert all(
        one.of_true <= other.of_true for one, other in zip(judged.worst, judged.worst[1:], strict=False)
    )
    assert found.iterations == len(found.losses[: found.iterations]) and found.losses[-1] < found.losses[0]
    assert found.rows.tolist() == np.bincount(digits(TRAIN)[0]).tolist()


def test_a_model_of_normalised_pictures_sees_no_brightness(job):
    found = job.fit(
        blocks(TRAIN), columns=64, weights=np.ones(10), normalised=1,
        settings=job.fitting.Settings(regularisation=0.01, l1=0.0, iterations=100, steps=10),
    )  # fmt: skip
    labels, pixels = digits(HOLDOUT)
    bright = job.judge([(labels, pixels)], found.point()).matrix
    dark = job.judge([(labels, pixels // 4 + 20)], found.point()).matrix
    assert job.scores.accuracy(bright) > 0.93 and job.scores.accuracy(dark) > 0.93
    plain = job.judge([(labels, pixels // 4 + 20)], fitted(job).point()).matrix
    assert job.scores.accuracy(plain) < job.scores.accuracy(dark)


def test_an_l1_penalty_leaves_coefficients_out(job):
    kept = [(np.abs(fitted(job, l1=l1).coefficients) > 1e-12).mean() for l1 in (0.0, 0.5, 1.0)]
    assert kept[0] > kept[1] > kept[2] > 0


def test_iterations_are_bounded(job):
    assert fitted(job, iterations=3).iterations == 3


EYES = Manifest(
    rows=950,
    columns=257,
    classes={str(grade): grade for grade in range(5)},
    rows_per_class={"0": 800, "1": 100, "4": 50},
)


def test_weights_help_the_rare_class(job):
    labels, pixels = digits(TRAIN)
    few = np.concatenate([np.flatnonzero(labels == 8)[:8], np.flatnonzero(labels == 1)])
    rows = Here([((labels[few] == 8).astype(np.int64), pixels[few])])
    settings = job.fitting.Settings(regularisation=0.5, l1=0.0, iterations=50, steps=10)
    recall = []
    for weights in (np.ones(2), np.array([1.0, 20.0])):
        found = job.fit(rows, columns=64, weights=weights, settings=settings)
        held, pictures = digits(HOLDOUT)
        picked = np.isin(held, (1, 8))
        judged = job.judge([((held[picked] == 8).astype(np.int64), pictures[picked])], found.point())
        recall.append(job.scores.class_scores(judged.matrix)[1].recall)
    assert recall[1] > recall[0]


def test_a_sample_without_two_classes_is_told(job):
    with pytest.raises(job.BadClasses, match="of 3 rows taken none tell two classes apart"):
        job.fit(
            Here([(np.full(3, 1), np.zeros((3, 4), np.uint8))]),
            columns=4, weights=np.ones(2), settings=job.fitting.Settings(0.01, 0.0, 5, 3),
        )  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_a_column_of_one_value_has_no_deviation_whatever_the_weights(job, seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 5, 3000)
    pixels = np.repeat(np.array([[255, 37, 0, 0]], np.uint8), 3000, axis=0)
    pixels[:, 3] = generator.integers(0, 2, 3000)
    data = [(labels[at : at + 700], pixels[at : at + 700]) for at in range(0, 3000, 700)]
    _, deviation = job.fitting.sums(data, (4, generator.random(5) * 3, 0)).scale()
    assert deviation[:3].tolist() == [0, 0, 0] and deviation[3] == pytest.approx(0.5, abs=0.02)


def test_a_set_of_several_labels_is_refused_in_a_line(job):
    about = Manifest(
        dataset="eyes",
        set="train_16",
        rows=2,
        columns=257,
        classes={"a": 0, "b": 1},
        rows_per_class={"0": 2, "1": 1},
    )
    with pytest.raises(job.BadClasses, match="train_16 of eyes has images with several labels"):
        job.require(job.Parameters(size=16, dataset="eyes"), about, job.Share(3, 2, 544, 512))


def test_what_does_not_fit_is_told_before_it_starts(job):
    grades = {str(grade): grade for grade in range(40)}
    about = Manifest(
        rows=30_000, columns=3 * 256 * 256 + 1, classes=grades, rows_per_class=dict.fromkeys(grades, 9)
    )
    asked = job.Parameters(size=256, dataset="eyes")
    with pytest.raises(
        SystemExit, match=r"eyes at 256x256 does not fit: .*driver lacks [\d,]+ MiB .*what would do"
    ):
        job.require(asked, about, job.Share(3, 2, 544, 512))
    assert job.require(asked, EYES, job.Share(3, 2, 544, 512)).fits


@pytest.mark.parametrize("l1", [0.0, pytest.param(0.5, marks=pytest.mark.long)])
def test_the_driver_takes_no_more_memory_than_was_told(job, l1):
    generator = np.random.default_rng(4)
    pixels = generator.integers(0, 256, (10, 20_000)).astype(np.uint8)
    settings = job.fitting.Settings(regularisation=0.01, l1=l1, iterations=6, steps=3)
    tracemalloc.start()
    try:
        job.fit(Here([(np.arange(10), pixels)]), columns=20_000, weights=np.ones(10), settings=settings)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    copies = job.footprint.LBFGS_COPIES_BOUNDED if l1 else job.footprint.LBFGS_COPIES
    untouched, rows = 0 if l1 else 4, 9 * pixels.size
    assert peak - rows <= (2 * 3 + copies + untouched) * (2 if l1 else 1) * 8 * 10 * 20_000
