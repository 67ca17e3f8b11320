"""Random forests over the pixels of a prepared image set: Spark ML's, and one that all nodes grow together.

Reads the sets `train` and `holdout` from HDFS; writes metrics.json, for each engine pictures of the
confusion matrix and of the worst mistakes, and the models: Spark's as `model`, scikit-learn's as `estimator`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import apart
import classes
import estimators
import forests
import numpy as np
import picture
import prepared
import reporting
import samples
import scores
import together
from classes import BadClasses
from estimators import BadModel
from numpy.typing import NDArray
from options import given
from parameters import BOTH, SKLEARN, SPARK, Parameters
from publish import results_folder, save_metrics, save_model
from samples import Sample
from share import share_of
from training_set import Training, training_of

from muster_node.sets import HOLDOUT, TRAIN, Manifest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Outcome:
    """What an engine made of the held-out rows: confusion matrix, worst mistakes, and the seconds it took."""

    matrix: NDArray[np.int64]
    mistakes: Sequence[Sample]
    train_seconds: float
    seconds: float

    def metrics(self) -> dict[str, Any]:
        """Return it as metrics.json has it."""
        return {
            "train_seconds": round(self.train_seconds, 2),
            "seconds": round(self.seconds, 2),
            **scores.summary(self.matrix),
        }


def metrics_of(
    outcomes: Mapping[str, Outcome], asked: Parameters, about: Manifest, rows: int
) -> dict[str, Any]:
    """Return what metrics.json has: the figures of the more accurate engine, then those of each.

    Args:
        outcomes: by engine.
        asked: the parameters.
        about: the training set.
        rows: of it that were learnt.
    """
    best = max(outcomes, key=lambda name: scores.accuracy(outcomes[name].matrix))
    return {
        "job": "random_forest",
        "dataset": asked.dataset,
        "image_size": asked.size,
        "pixels": about.columns - 1,
        "normalise": asked.normalise,
        "trees": asked.trees,
        "max_depth": asked.max_depth,
        "train_rows": rows,
        "holdout_rows": int(outcomes[best].matrix.sum()),
        "best_engine": best,
        "class_names": classes.names(about),
        **outcomes[best].metrics(),
        "engines": {name: outcome.metrics() for name, outcome in outcomes.items()},
    }


def headline(metrics: Mapping[str, Any]) -> str:
    """Return the result in one line."""
    side = metrics["image_size"]
    told = [
        f"{engine} {found['accuracy']:.2%} right, kappa {found['quadratic_weighted_kappa']:.3f}, "
        f"trained in {found['train_seconds']:.1f} s"
        for engine, found in metrics["engines"].items()
    ]
    return (
        f"{'; '.join(told)} ({metrics['trees']} trees, {metrics['train_rows']:,} images of {side}x{side} to "
        f"train on, {metrics['holdout_rows']:,} held out)"
    )


def with_sklearn(spark: SparkSession, asked: Parameters, training: Training) -> Outcome:
    """Grow on every node, join, save and score."""
    begin = time.monotonic()
    counts = tuple(forests.shares(asked.trees, share_of(spark).executors))
    reporting.say(f"scikit-learn: {asked.trees} trees on {len(counts)} nodes")
    plan = apart.Plan(
        rows=training.rows, columns=training.columns, classes=training.classes, counts=counts,
        max_depth=asked.max_depth, share=asked.share, weights=training.weights, seed=asked.seed,
        cores=share_of(spark).cores, normalised=training.normalised,
    )  # fmt: skip
    forest = apart.grow(spark, training.lines(), plan)
    trained = time.monotonic()
    folder = results_folder() / estimators.FOLDER
    estimators.save(forest, folder)
    matrix, mistakes = apart.judge(spark, folder, asked.folder(HOLDOUT), plan)
    return Outcome(matrix, mistakes, trained - begin, time.monotonic() - begin)


def with_spark(spark: SparkSession, asked: Parameters, training: Training) -> Outcome:
    """Grow with Spark ML, save and score."""
    begin = time.monotonic()
    reporting.say(f"Spark ML: {asked.trees} trees")
    model = together.grow(spark, asked, training)
    trained = time.monotonic()
    save_model(spark, model)
    matrix, mistakes = together.judge(model, asked.folder(HOLDOUT), training)
    return Outcome(matrix, mistakes, trained - begin, time.monotonic() - begin)


def main() -> None:
    """Train with each engine that was asked for, score, publish."""
    asked = given(Parameters)
    results = results_folder()
    # scikit-learn first: its memory is what Spark's executors have not filled yet.
    engines = {SKLEARN: with_sklearn, SPARK: with_spark}
    with prepared.session(f"random_forest {asked.size}x{asked.size}", BadClasses, BadModel) as spark:
        about = prepared.manifest(spark, asked.folder(TRAIN))
        training = training_of(spark, asked, about)
        if asked.engine != SKLEARN:  # before the other engine has grown one for nothing
            together.require(spark, asked, training)
        outcomes = {
            name: grow(spark, asked, training)
            for name, grow in engines.items()
            if asked.engine in (name, BOTH)
        }
    metrics = metrics_of(outcomes, asked, about, training.rows)
    save_metrics(metrics)
    for name, outcome in outcomes.items():
        picture.draw_confusion(
            outcome.matrix,
            title=f"{asked.dataset}, {asked.size}x{asked.size}: {scores.accuracy(outcome.matrix):.1%} right",
            subtitle=f"forest of {asked.trees} trees ({name}), {int(outcome.matrix.sum()):,} held-out images",
            path=results / f"confusion_matrix_{name}.png",
        )
        samples.draw(
            outcome.mistakes,
            size=asked.size,
            names=classes.names(about),
            title=f"{asked.dataset}: the worst mistakes of the forest ({name})",
            path=results / f"worst_{name}.png",
        )
    for name, outcome in outcomes.items():
        if warning := scores.one_sided(outcome.matrix):
            print(f"WARNING: {name}: {warning}", flush=True)
    print(headline(metrics), flush=True)


if __name__ == "__main__":
    main()
