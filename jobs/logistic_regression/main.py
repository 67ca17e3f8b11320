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
import hadoop
import numpy as np
import prepared
import reporting
import scores
from classes import BadClasses
from fitting import Fit, fit
from judged import draw
from model import judge, spark_model
from options import given
from parameters import Parameters
from pixels import draw_of
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


def require(asked: Parameters, about: Manifest, has: Share) -> Footprint:
    """Return what training takes. Ends the job with a line where it does not fit; raises BadClasses."""
    classes.require_learnable(about)
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
    begin = time.monotonic()

    def say(step: int, loss: float) -> None:
        reporting.report(step, asked.iterations, "iteration", loss=loss)
        if step % STEPS_TOLD == 0:
            print(f"iteration {step}: loss {loss:.5f}, {time.monotonic() - begin:.1f} s", flush=True)

    columns = about.columns - 1
    data = open_rows(
        spark, asked.folder(TRAIN), columns=columns, parts=found.partitions, draw=draw_of(asked, about)
    )
    settings = fitting.Settings(asked.regularisation, asked.l1, asked.iterations, found.steps)
    weights = np.array(classes.weights(classes.rows(about), asked.balance))
    return fit(
        data, columns=columns, weights=weights, settings=settings,
        normalised=asked.normalised(about), say=say,
    )  # fmt: skip


def few(*sets: Manifest) -> bool:
    """Return whether all these rows stay in the driver, so that executors have nothing to do."""
    return not any(footprint.parts(each.rows * (each.columns - 1), cores=1) for each in sets)


def learn(spark: SparkSession, asked: Parameters, about: Manifest, held: Manifest) -> dict[str, Any]:
    """Train, score and publish; return the metrics."""
    has = share_of(spark)
    found = require(asked, about, has)
    started = time.monotonic()
    where = "on the executors" if found.partitions else "in the driver"
    rows = classes.taken(classes.rows(about), draw_of(asked, about).shares)
    print(f"Training on {rows:,} images of {asked.size}x{asked.size} {where}", flush=True)
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
    draw(judged, about, results_folder())
    save_model(spark, spark_model(spark, fitted))
    metrics["seconds"] = round(time.monotonic() - started, 2)
    save_metrics(metrics)
    scores.warn(scores.one_sided(judged.matrix))
    return metrics


def main() -> None:
    """Learn, and say in a line how well."""
    asked = given(Parameters)
    hdfs = hadoop.client(hadoop.namenode())
    about, held = (hadoop.manifest(hdfs, asked.folder(part)) for part in (TRAIN, HOLDOUT))
    name, executors = f"logistic_regression {asked.size}x{asked.size}", not few(about, held)
    with prepared.session(name, BadClasses, executors=executors) as spark:
        metrics = learn(spark, asked, about, held)
    print(scores.headline(metrics), flush=True)


if __name__ == "__main__":
    main()
