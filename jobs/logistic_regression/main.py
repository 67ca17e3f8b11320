"""Multinomial logistic regression over the pixels of a prepared image set, grey or RGB, at every size.

Reads the sets `train` and `holdout` (CSV, label first) from HDFS; writes metrics.json, pictures of the
confusion matrix and of the worst mistakes, and the model as Spark ML's. Few rows are trained on in the
driver, more on the executors, as bytes; what does not fit is told before it starts.
"""

from __future__ import annotations

import operator
import time
from typing import TYPE_CHECKING, Any

import classes
import fitting
import numpy as np
import picture
import prepared
import samples
import scores
from classes import BadClasses
from fitting import Fit, fit
from model import Judged, judge, spark_model
from objective import Doubles
from options import given
from parameters import Parameters
from pixels import Draw
from publish import results_folder, save_metrics, save_model
from rows import open_rows
from share import Share, share_of

from muster_node import footprint
from muster_node.footprint import Footprint
from muster_node.sets import HOLDOUT, TRAIN, Manifest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STEPS_TOLD = 10
"""The loss is printed once in so many iterations."""


def draw_of(asked: Parameters, rows: list[int]) -> Draw:
    """Return which rows are trained on."""
    least = min(count for count in rows if count)
    shares = [
        asked.sample * (least / count if asked.balance == "subsample" and count else 1.0) for count in rows
    ]
    return Draw(tuple(shares) if min(shares) < 1 else (), asked.seed)


def class_weights(asked: Parameters, rows: list[int]) -> Doubles:
    """Return the weight of a row of each class: 1, or by `balance=weights` as much for each class."""
    if asked.balance != "weights":
        return np.ones(len(rows))
    return np.array(classes.weights(rows))


def require(asked: Parameters, about: Manifest, has: Share) -> Footprint:
    """Return what training takes. Ends the job with a line where it does not fit, or cannot be."""
    try:
        classes.require_learnable(about)
    except BadClasses as error:
        raise SystemExit(str(error)) from error
    found = footprint.of_logistic(
        about.rows, about.columns - 1, classes.count(about), l1=asked.l1 > 0,
        nodes=has.executors, cores=has.cores,
        executor_memory_mb=has.executor_mb, driver_memory_mb=has.driver_mb,
    )  # fmt: skip
    if not found.fits:
        raise SystemExit(f"{asked.dataset} at {asked.size}x{asked.size} does not fit: {found.advice}")
    return found


def train(spark: SparkSession, asked: Parameters, about: Manifest, found: Footprint) -> Fit:
    """Fit the model, and tell how far it is."""
    rows = classes.rows(about)
    begin = time.monotonic()

    def say(step: int, loss: float) -> None:
        if step % STEPS_TOLD == 0:
            print(f"iteration {step}: loss {loss:.5f}, {time.monotonic() - begin:.1f} s", flush=True)

    columns = about.columns - 1
    data = open_rows(
        spark, asked.folder(TRAIN), columns=columns, parts=found.partitions, draw=draw_of(asked, rows)
    )
    settings = fitting.Settings(asked.regularisation, asked.l1, asked.iterations, found.steps)
    try:
        return fit(
            data, columns=columns, weights=class_weights(asked, rows), settings=settings,
            normalised=asked.normalised(about), say=say,
        )  # fmt: skip
    except fitting.TooFew as error:
        raise SystemExit(f"{error}: take a larger sample") from error


def draw(judged: Judged, metrics: dict[str, Any], about: Manifest) -> None:
    """Draw the confusion matrix and the worst mistakes."""
    results, side = results_folder(), f"{about.size}x{about.size}"
    picture.draw_confusion(
        judged.matrix,
        title=f"{about.dataset}, {side}: {metrics['accuracy']:.1%} right",
        subtitle=f"{metrics['holdout_rows']:,} held-out images, "
        f"quadratically weighted kappa {metrics['quadratic_weighted_kappa']:.3f}",
        path=results / "confusion_matrix.png",
    )
    samples.draw(
        judged.worst, size=about.size, names=classes.names(about), path=results / "worst.png",
        title=f"{about.dataset}, {side}: held-out images whose true class seemed least probable",
    )  # fmt: skip


def learn(spark: SparkSession, asked: Parameters) -> dict[str, Any]:
    """Train, score and publish; return the metrics."""
    about = prepared.manifest(spark, asked.folder(TRAIN))
    held = prepared.manifest(spark, asked.folder(HOLDOUT))
    has = share_of(spark)
    found = require(asked, about, has)
    started = time.monotonic()
    where = "on the executors" if found.partitions else "in the driver"
    print(f"Training on {about.rows:,} images of {asked.size}x{asked.size} {where}", flush=True)
    fitted = train(spark, asked, about, found)
    trained = time.monotonic()
    parts = footprint.parts(held.rows * (held.columns - 1), has.executors * has.cores)
    holdout = open_rows(spark, asked.folder(HOLDOUT), columns=held.columns - 1, parts=parts)
    judged = holdout.fold(judge, operator.add, fitted.point())
    metrics = {
        "job": "logistic_regression",
        "dataset": asked.dataset,
        "image_size": asked.size,
        "pixels": about.columns - 1,
        "normalise": asked.normalise,
        "parts": found.partitions,
        "class_names": classes.names(about),
        "train_rows": int(fitted.rows.sum()),
        "holdout_rows": int(judged.matrix.sum()),
        "iterations": fitted.iterations,
        "train_seconds": round(trained - started, 2),
        "seconds": 0.0,
        **scores.summary(judged.matrix),
        "losses": [round(loss, 6) for loss in fitted.losses],
    }
    draw(judged, metrics, about)
    save_model(spark, spark_model(spark, fitted))
    metrics["seconds"] = round(time.monotonic() - started, 2)
    save_metrics(metrics)
    if warning := scores.one_sided(judged.matrix):
        print(f"WARNING: {warning}; balance=weights gives rare classes more weight", flush=True)
    return metrics


def main() -> None:
    """Learn, and say in a line how well."""
    asked = given(Parameters)
    with prepared.session(f"logistic_regression {asked.size}x{asked.size}") as spark:
        metrics = learn(spark, asked)
    print(scores.headline(metrics), flush=True)


if __name__ == "__main__":
    main()
