"""jobs/boosting: boosted trees of XGBoost, and what it takes."""

from __future__ import annotations

import importlib
import json
import sys
from types import ModuleType

import numpy as np
import pytest
from rows import Here

from muster_node.sets import Manifest
from provision.core.paths import PROJECT

JOB = PROJECT / "jobs" / "boosting"


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("xgboost")
    monkeypatch.syspath_prepend(str(JOB))
    for path in JOB.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return importlib.import_module("main")


def some(count: int, *, classes: int = 3, columns: int = 256, seed: int = 2):
    """Rows of classes that differ in a few pixels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    pixels = generator.integers(0, 100, (count, columns)).astype(np.uint8)
    pixels[np.arange(count), labels] += 100
    return labels, pixels


ABOUT = Manifest(
    dataset="eyes", set="train_16", rows=300, columns=257, size=16, classes={"a": 0, "b": 1, "d": 3},
    rows_per_class={"0": 100, "1": 100, "3": 100},
)  # fmt: skip


def asked(job, **given):
    return job.Parameters(**{"size": 16, "dataset": "eyes", "rounds": 30, "columns": 1.0} | given)


def test_what_does_not_fit_is_told_before_it_starts(job):
    grades = {str(grade): grade for grade in range(5)}
    about = Manifest(
        dataset="eyes", set="train_256", rows=28_000, columns=3 * 256**2 + 1, channels=3, size=256,
        classes=grades, rows_per_class=dict.fromkeys(grades, 5_600),
    )  # fmt: skip
    with pytest.raises(
        SystemExit, match=r"eyes at 256x256 does not fit: boosting may take [\d,]+ MiB, and the master has 8,"
    ):
        job.require(asked(job, size=256), about, 8_000)
    job.require(asked(job), ABOUT, 1_000)
    with pytest.raises(SystemExit, match="patience needs rows to be asked"):
        job.require(asked(job, validation=0.0), ABOUT, 1_000)


def test_deeper_trees_and_more_rows_take_more(job):
    def needed(**given):
        usual = {"rows": 60_000, "held": 10_000, "columns": 1024, "classes": 10, "rounds": 300, "depth": 6}
        return job.memory.needed_mb(**usual | {"normalised": False} | given)

    assert needed() < needed(rows=120_000) < needed(rows=120_000, depth=9)
    assert needed() < needed(normalised=True) and needed() < needed(columns=3072)


def test_results_are_told_drawn_and_saved(job, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSTER_RESULTS", str(tmp_path))
    labels, pixels = some(500)
    labels[labels == 2] = 3  # no row is of class 2
    train, holdout = Here([(labels[:300], pixels[:300])]), Here([(labels[300:], pixels[300:])])
    metrics = job.learn(asked(job), ABOUT, train, holdout, 0.0, cores=2)
    assert metrics["train_rows"] == 300 and metrics["holdout_rows"] == 200
    assert metrics["accuracy"] > 0.95 and metrics["class_names"] == ["a", "b", "2", "d"]
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    for name in ("confusion_matrix.png", "worst.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    rows = list(enumerate(pixels[300:]))
    said = list(job.boosted.ask(rows, str(tmp_path / "boosted" / job.boosted.MODEL)))
    assert [key for key, _ in said] == list(range(200))
    found = np.array([shares for _, shares in said])
    assert found.shape == (200, 4) and found.sum(axis=1) == pytest.approx(np.ones(200), abs=1e-5)
    right = (found.argmax(axis=1) == labels[300:]).mean()
    assert right == pytest.approx(metrics["accuracy"], abs=1e-6)


def test_early_stopping_takes_the_best_rounds(job):
    generator = np.random.default_rng(3)
    labels, pixels = some(200)
    labels = np.where(generator.random(200) < 0.4, generator.integers(0, 3, 200), labels)
    given = asked(job, rounds=200, learning_rate=0.5, patience=5, validation=0.3)
    found = job.fit([(labels, pixels)], given, [1.0] * 3, channels=1, cores=1, say=print)
    assert found.rounds == found.model.trees.num_boosted_rounds() < 200
    assert found.rounds == 1 + int(np.argmin(found.losses)) == len(found.losses) - 5


def test_the_same_seed_learns_the_same_however_rows_come(job):
    labels, pixels = some(120)
    parts = [(labels[at : at + 50], pixels[at : at + 50]) for at in range(0, 120, 50)]

    def said(blocks, **given):
        found = job.fit(
            blocks,
            asked(job, columns=0.5, normalise=True, **given),
            [1.0] * 3,
            channels=1,
            cores=1,
            say=print,
        )
        return found.model.shares(pixels)

    assert np.array_equal(said(list(parts)), said([(labels, pixels)]))
    assert not np.array_equal(said(list(parts)), said(list(parts), seed=5))


def test_weights_are_those_of_as_many_rows(job):
    labels, pixels = some(90, classes=2)
    thrice = np.concatenate([np.flatnonzero(labels == 0), *[np.flatnonzero(labels == 1)] * 3])
    given = asked(job, validation=0.0, patience=0, rounds=5)

    def said(blocks, weights):
        found = job.fit(blocks, given, weights, channels=1, cores=1, say=print)
        return found.model.shares(pixels)

    weighted = said([(labels, pixels)], [1.0, 3.0])
    assert weighted == pytest.approx(said([(labels[thrice], pixels[thrice])], [1.0, 1.0]), abs=0.1)
    assert weighted[:, 1].mean() > said([(labels, pixels)], [1.0, 1.0])[:, 1].mean()


def test_a_model_takes_the_pixels_that_it_was_trained_on(job, tmp_path):
    labels, pixels = some(120)
    pixels[:, 100:] = 7
    said = {}
    for variant in ("raw", "varying", "scaled"):
        given = asked(job, variant=variant, rounds=10)
        found = job.fit([(labels.copy(), pixels.copy())], given, [1.0] * 3, channels=1, cores=1, say=print)
        job.boosted.save(found.model, tmp_path / variant)
        loaded = job.boosted.load(str(tmp_path / variant / job.boosted.MODEL))
        assert loaded.input == found.model.input and loaded.input.variant == variant
        said[variant] = loaded.shares(pixels)
    assert loaded.input.columns == () and found.model.trees.num_features() == 256
    assert said["scaled"] == pytest.approx(said["raw"], abs=1e-5)
    assert said["varying"] == pytest.approx(said["raw"], abs=1e-5), (
        "a pixel that never differs splits nothing"
    )
    varying = job.boosted.load(str(tmp_path / "varying" / job.boosted.MODEL))
    assert varying.input.columns == tuple(range(100)) and varying.trees.num_features() == 100
