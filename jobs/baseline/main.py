"""The same regression with scikit-learn on one node, the master: the comparison that a cluster has to stand.

All rows are doubles in the memory of one process. Where they do not fit it says so before it starts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import classes
import estimators
import numpy as np
import prepared
import scores
from classes import BadClasses
from judged import draw, judge
from normal import features
from options import given
from parameters import Parameters
from pixels import draw_of
from publish import results_folder, save_metrics
from rows import Here, open_here
from share import share_of

from muster_node import footprint
from muster_node.sets import HOLDOUT, TRAIN, Manifest


def require(asked: Parameters, about: Manifest, free_mb: int, held: int = 0) -> None:
    """End the job with a line where the rows do not fit. Raises BadClasses: they cannot be told apart."""
    classes.require_learnable(about)
    rows = classes.taken(classes.rows(about), draw_of(asked, about).shares)
    found = footprint.of_scikit(rows, about.columns - 1, classes.count(about), free_mb=free_mb, held=held)
    if not found.fits:
        raise SystemExit(f"{asked.dataset} at {asked.size}x{asked.size} does not fit: {found.advice}")


def fit(rows: Here, asked: Parameters, weights: Sequence[float], *, normalised: int) -> Any:  # noqa: ANN401  scikit-learn has no types
    """Return scikit-learn's standardising and regression in one, with the penalty that Spark ML means.

    Args:
        rows: to train on; they are used up: block by block they become doubles, which are there once.
        asked: the parameters.
        weights: what a row of each class weighs.
        normalised: channels of pictures that are normalised first, 0 = pixels are taken as they are.

    Raises:
        BadClasses: there is nothing to tell apart.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaler, weigh = StandardScaler(copy=False), np.array(weights)
    labels = np.concatenate([np.empty(0, np.int64), *(labels for labels, _ in rows.blocks)])
    classes.require_two(np.bincount(labels).tolist())
    for some, pixels in rows.blocks:
        scaler.partial_fit(features(pixels, normalised).astype(np.float64), sample_weight=weigh[some])
    values = np.empty((len(labels), scaler.n_features_in_))
    end = len(labels)
    while rows.blocks:
        _, pixels = rows.blocks.pop()
        doubles = features(pixels, normalised).astype(np.float64)
        values[end - len(pixels) : end] = scaler.transform(doubles)
        end -= len(pixels)
    each = weigh[labels]
    strength = 1 / (asked.regularisation * each.sum()) if asked.regularisation else np.inf
    model = LogisticRegression(C=strength, max_iter=asked.iterations).fit(values, labels, sample_weight=each)
    return make_pipeline(scaler, model)


def learn(asked: Parameters, about: Manifest, train: Here, holdout: Here, started: float) -> dict[str, Any]:
    """Train, score and publish; return the metrics. Raises BadClasses; `started`: when reading began."""
    rows = sum(len(labels) for labels, _ in train.blocks)
    print(f"Training on {rows:,} images of {asked.size}x{asked.size} in one process", flush=True)
    begun = time.monotonic()
    normalised, known = asked.normalised(about), classes.count(about)
    model = fit(train, asked, classes.weights(classes.rows(about), asked.balance), normalised=normalised)
    fitted = time.monotonic()
    taken = estimators.pictures(normalised)
    judged = judge(holdout.blocks, lambda pixels: estimators.shares(model, taken(pixels), known), known)
    estimators.save(model, results_folder() / estimators.FOLDER)
    draw(judged, about, results_folder())
    metrics = {
        "job": "baseline",
        "dataset": asked.dataset,
        "image_size": asked.size,
        "pixels": about.columns - 1,
        "normalise": asked.normalise,
        "class_names": classes.names(about),
        "train_rows": rows,
        "holdout_rows": int(judged.matrix.sum()),
        "iterations": int(model[-1].n_iter_.max()),
        "read_seconds": round(begun - started, 2),
        "train_seconds": round(fitted - started, 2),
        "seconds": round(time.monotonic() - started, 2),
        **scores.summary(judged.matrix),
    }
    save_metrics(metrics)
    scores.warn(scores.one_sided(judged.matrix))
    return metrics


def main() -> None:
    """Read with Spark, which no executor helps, learn without it, tell."""
    asked = given(Parameters)
    with prepared.session(f"baseline {asked.size}x{asked.size}", BadClasses, executors=False) as spark:
        about = prepared.manifest(spark, asked.folder(TRAIN))
        held = prepared.manifest(spark, asked.folder(HOLDOUT))
        require(asked, about, share_of(spark).master_mb, held.rows)
        started = time.monotonic()
        columns = about.columns - 1
        train = open_here(spark, asked.folder(TRAIN), columns=columns, draw=draw_of(asked, about))
        holdout = open_here(spark, asked.folder(HOLDOUT), columns=columns)
    try:
        metrics = learn(asked, about, train, holdout, started)
    except BadClasses as error:
        raise SystemExit(str(error)) from error
    print(scores.headline(metrics), flush=True)


if __name__ == "__main__":
    main()
