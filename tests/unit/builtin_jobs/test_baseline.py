"""jobs/baseline: the same regression with scikit-learn."""

from __future__ import annotations

import importlib
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


def test_what_does_not_fit_is_told_before_it_starts(job):
    grades = {str(grade): grade for grade in range(5)}
    about = Manifest(rows=28_000, columns=16_385, classes=grades, rows_per_class=dict.fromkeys(grades, 1))
    with pytest.raises(
        SystemExit, match=r"eyes at 128x128 does not fit: one process needs [\d,]+ MiB, [\d,]+ more"
    ):
        job.require(job.Parameters(size=128, dataset="eyes"), about, 2_000)
    job.require(job.Parameters(size=128, dataset="eyes"), about, 12_000)


def test_two_classes_are_told_apart(job):
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 200)
    pixels = (generator.integers(0, 100, (200, 6)) + 100 * labels[:, None]).astype(np.uint8)
    model = job.fit(Here([(labels[:150], pixels[:150])]), iterations=50, regularisation=0.01)
    matrix = job.count([(labels[150:], pixels[150:])], model, known=2)
    assert matrix.sum() == 50 and np.trace(matrix) >= 48


def test_a_model_of_normalised_pictures_is_asked_with_such(job, tmp_path):
    """By the job, and by predict, which knows the saved model alone; a class without rows has no share."""
    generator = np.random.default_rng(2)
    labels = 2 * generator.integers(0, 2, 200)
    pixels = generator.integers(0, 40, (200, 8)).astype(np.uint8)
    pixels[labels == 2, ::2] += 100
    model = job.fit(Here([(labels[:150], pixels[:150])]), iterations=50, regularisation=0.01, normalised=1)
    held, dark = labels[150:], pixels[150:] // 2
    matrix = job.count([(held, dark)], model, known=4, normalised=1)
    assert np.trace(matrix) == 50 and np.trace(job.count([(held, dark)], model, known=4)) < 45
    job.estimators.save(model, tmp_path)
    saved = importlib.import_module("joblib").load(tmp_path / job.estimators.MODEL)
    shares = job.estimators.shares(saved, job.estimators.pictures(1)(list(dark)), 4)
    assert shares.shape == (50, 4) and shares.argmax(axis=1).tolist() == held.tolist()
    assert not shares[:, [1, 3]].any()


def test_rows_take_no_more_memory_than_was_told(job):
    """Wide ones, so that neither blocks nor coefficients count for much."""
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 2, 800)
    pixels = generator.integers(0, 256, (800, 4000)).astype(np.uint8)
    rows = Here((labels[at : at + 20], pixels[at : at + 20].copy()) for at in range(0, 800, 20))
    tracemalloc.start()
    try:
        job.fit(rows, iterations=200, regularisation=10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= footprint.SCIKIT_PIXEL * pixels.size
