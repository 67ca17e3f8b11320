"""jobs/baseline: the same regression with scikit-learn."""

from __future__ import annotations

import importlib
import json
import sys
import tracemalloc
from types import ModuleType

import numpy as np
import pytest
from rows import Here

from muster_node import footprint
from muster_node.sets import Manifest
from provision.core.paths import PROJECT

JOB = PROJECT / "jobs" / "baseline"


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(JOB))
    for path in JOB.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return importlib.import_module("main")


GRADES = {str(grade): grade for grade in range(5)}
EYES = Manifest(
    dataset="eyes", set="train_128", rows=28_000, columns=16_385, classes=GRADES,
    rows_per_class={"0": 27_600, "1": 100, "2": 100, "3": 100, "4": 100},
)  # fmt: skip


def test_what_does_not_fit_is_told_before_it_starts(job):
    with pytest.raises(
        SystemExit, match=r"eyes at 128x128 does not fit: one process needs [\d,]+ MiB, [\d,]+ more"
    ):
        job.require(job.Parameters(size=128, dataset="eyes"), EYES, 2_000)
    job.require(job.Parameters(size=128, dataset="eyes"), EYES, 12_000)
    job.require(job.Parameters(size=128, dataset="eyes", sample=0.01), EYES, 2_000)
    job.require(job.Parameters(size=128, dataset="eyes", balance="subsample"), EYES, 2_000)


def fitted(job, rows, *, normalised: int = 0, weights=(1.0,) * 4, **asked):
    known = {"size": 16, "dataset": "x", "iterations": 50, "regularisation": 0.01}
    return job.fit(Here(rows), job.Parameters(**known | asked), weights, normalised=normalised)


def test_two_classes_are_told_apart(job):
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 200)
    pixels = (generator.integers(0, 100, (200, 6)) + 100 * labels[:, None]).astype(np.uint8)
    model = fitted(job, [(labels[:150], pixels[:150])])
    assert (model.predict(pixels[150:]) == labels[150:]).sum() >= 48
    with pytest.raises(job.BadClasses, match="of 3 rows taken none tell"):
        fitted(job, [(np.full(3, 1), pixels[:3])])
    with pytest.raises(job.BadClasses, match="of 0 rows taken"):
        fitted(job, [])


def test_weights_are_those_of_as_many_rows(job):
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 60)
    pixels = (generator.integers(0, 200, (60, 6)) + 40 * labels[:, None]).astype(np.uint8)
    thrice = np.concatenate([np.flatnonzero(labels == 0), *[np.flatnonzero(labels == 1)] * 3])
    weighted = fitted(job, [(labels, pixels)], weights=(1.0, 3.0), iterations=500)
    repeated = fitted(job, [(labels[thrice], pixels[thrice])], iterations=500)
    assert weighted[-1].coef_ == pytest.approx(repeated[-1].coef_, abs=0.02)


def test_a_model_of_normalised_pictures_is_asked_with_such(job, tmp_path):
    """As predict does it, which knows the saved model alone; a class without rows has no share."""
    generator = np.random.default_rng(2)
    labels = 2 * generator.integers(0, 2, 200)
    pixels = generator.integers(0, 40, (200, 8)).astype(np.uint8)
    pixels[labels == 2, ::2] += 100
    model = fitted(job, [(labels[:150], pixels[:150])], normalised=1)
    held, dark = labels[150:], pixels[150:] // 2
    job.estimators.save(model, tmp_path)
    saved = importlib.import_module("joblib").load(tmp_path / job.estimators.MODEL)
    shares = job.estimators.shares(saved, job.estimators.pictures(1)(list(dark)), 4)
    assert shares.shape == (50, 4) and shares.argmax(axis=1).tolist() == held.tolist()
    assert not shares[:, [1, 3]].any()
    plain = job.estimators.shares(saved, job.estimators.pictures(0)(list(dark)), 4)
    assert plain.argmax(axis=1).tolist() != held.tolist()


def test_results_are_told_and_drawn(job, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MUSTER_RESULTS", str(tmp_path))
    generator = np.random.default_rng(2)
    labels = np.arange(300) % 2
    pixels = (generator.integers(0, 100, (300, 256)) + 3 * labels[:, None]).astype(np.uint8)
    about = Manifest(
        dataset="eyes", set="train_16", rows=200, columns=257, size=16, classes={"a": 0, "b": 1},
        rows_per_class={"0": 100, "1": 100},
    )  # fmt: skip
    asked = job.Parameters(size=16, dataset="eyes", normalise=True)
    train, holdout = Here([(labels[:200], pixels[:200])]), Here([(labels[200:], pixels[200:])])
    metrics = job.learn(asked, about, train, holdout, 0.0)
    assert metrics["train_rows"] == 200 and metrics["holdout_rows"] == 100 and metrics["normalise"]
    assert metrics["class_names"] == ["a", "b"]
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert (tmp_path / "estimator" / "estimator.joblib").exists()
    for name in ("confusion_matrix.png", "worst.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_rows_take_no_more_memory_than_was_told(job):
    """Wide ones, so that neither blocks nor coefficients count for much."""
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 800)
    pixels = generator.integers(0, 256, (800, 4000)).astype(np.uint8)
    rows = Here((labels[at : at + 20], pixels[at : at + 20].copy()) for at in range(0, 800, 20))
    tracemalloc.start()
    try:
        asked = job.Parameters(size=16, dataset="x", iterations=200, regularisation=10)
        job.fit(rows, asked, [1.0, 1.0], normalised=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= footprint.SCIKIT_PIXEL * pixels.size
