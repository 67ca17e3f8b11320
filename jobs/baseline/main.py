"""The same regression with scikit-learn on one node, the master: the comparison that a cluster has to stand.

All rows are doubles in the memory of one process. Where they do not fit it says so before it starts.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import classes
import estimators
import numpy as np
import prepared
import scores
from classes import BadClasses
from normal import features
from options import given
from parameters import Parameters
from pixels import Block
from publish import results_folder, save_metrics
from rows import Here, open_here
from share import share_of

from muster_node import footprint
from muster_node.sets import HOLDOUT, TRAIN, Manifest


def require(asked: Parameters, about: Manifest, free_mb: int, held: int = 0) -> None:
    """End the job with a line where the rows do not fit, or cannot be told apart."""
    try:
        classes.require_learnable(about)
    except BadClasses as error:
        raise SystemExit(str(error)) from error
    found = footprint.of_scikit(
        about.rows, about.columns - 1, classes.count(about), free_mb=free_mb, held=held
    )
    if not found.fits:
        raise SystemExit(f"{asked.dataset} at {asked.size}x{asked.size} does not fit: {found.advice}")


def fit(rows: Here, *, iterations: int, regularisation: float, normalised: int = 0) -> Any:  # noqa: ANN401  scikit-learn has no types
    """Return scikit-learn's standardising and regression in one, with the penalty that Spark ML means.

    The rows are used up: block by block they become doubles, which are there once. `normalised`: channels of
    pictures that are normalised first, 0 = pixels are taken as they are.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler(copy=False)
    for _, pixels in rows.blocks:
        scaler.partial_fit(features(pixels, normalised).astype(np.float64))
    labels = np.concatenate([labels for labels, _ in rows.blocks])
    values = np.empty((len(labels), scaler.n_features_in_))
    end = len(labels)
    while rows.blocks:
        _, pixels = rows.blocks.pop()
        doubles = features(pixels, normalised).astype(np.float64)
        values[end - len(pixels) : end] = scaler.transform(doubles)
        end -= len(pixels)
    strength = 1 / (regularisation * len(labels)) if regularisation else np.inf
    model = LogisticRegression(C=strength, max_iter=iterations).fit(values, labels)
    return make_pipeline(scaler, model)


def count(blocks: Iterable[Block], model: Any, *, known: int, normalised: int = 0) -> scores.Matrix:  # noqa: ANN401
    """Return the confusion matrix of a model over blocks."""
    matrix = np.zeros((known, known), np.int64)
    for labels, pixels in blocks:
        np.add.at(matrix, (labels, model.predict(estimators.pictures(normalised)(pixels))), 1)
    return matrix


def main() -> None:
    """Train, score, tell."""
    asked = given(Parameters)
    with prepared.session(f"baseline {asked.size}x{asked.size}") as spark:
        about = prepared.manifest(spark, asked.folder(TRAIN))
        held = prepared.manifest(spark, asked.folder(HOLDOUT))
        require(asked, about, share_of(spark).master_mb, held.rows)
        started = time.monotonic()
        train, holdout = (
            open_here(spark, asked.folder(part), columns=about.columns - 1) for part in (TRAIN, HOLDOUT)
        )
    print(f"Training on {about.rows:,} images of {asked.size}x{asked.size} in one process", flush=True)
    begun = time.monotonic()
    normalised = asked.normalised(about)
    model = fit(
        train, iterations=asked.iterations, regularisation=asked.regularisation, normalised=normalised
    )
    fitted = time.monotonic()
    estimators.save(model, results_folder() / estimators.FOLDER)
    judge = partial(count, known=classes.count(about), normalised=normalised)
    matrix = holdout.fold(judge, operator.add, model)
    metrics = {
        "job": "baseline",
        "dataset": asked.dataset,
        "image_size": asked.size,
        "pixels": about.columns - 1,
        "normalise": asked.normalise,
        "class_names": classes.names(about),
        "train_rows": about.rows,
        "holdout_rows": int(matrix.sum()),
        "iterations": int(model[-1].n_iter_.max()),
        "read_seconds": round(begun - started, 2),
        "train_seconds": round(fitted - started, 2),
        "seconds": round(time.monotonic() - started, 2),
        **scores.summary(matrix),
    }
    save_metrics(metrics)
    if warning := scores.one_sided(matrix):
        print(f"WARNING: {warning}", flush=True)
    print(scores.headline(metrics), flush=True)


if __name__ == "__main__":
    main()
