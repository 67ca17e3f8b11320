"""Boosted trees over the pixels with XGBoost, in one process on all cores of the master.

Rows are read with Spark, whose processes have ended when learning begins.
"""

from __future__ import annotations

import time
from typing import Any

import boosted
import classes
import memory
import prepared
import scores
from classes import BadClasses
from fit import fit
from judged import draw, judge
from options import given
from parameters import Parameters
from pixels import draw_of
from publish import results_folder, save_metrics
from rows import Here, open_here
from share import share_of
from variant_names import RAW

from muster_node.sets import HOLDOUT, TRAIN, Manifest


def require(asked: Parameters, about: Manifest, free_mb: int, held: int = 0) -> None:
    """End the job with a line when it cannot be done. Raises BadClasses: rows cannot be told apart."""
    classes.require_learnable(about)
    if asked.patience and not asked.validation:
        raise SystemExit("patience needs rows to be asked: give validation=0.1, or patience=0")
    if asked.normalise and asked.variant != RAW:
        raise SystemExit(f"normalise=true goes with variant={RAW}, not with {asked.variant}")
    needed = memory.needed_mb(
        rows=classes.taken(classes.rows(about), draw_of(asked, about).shares), held=held,
        columns=about.columns - 1, classes=classes.count(about), rounds=asked.rounds, depth=asked.max_depth,
        normalised=asked.normalise,
    )  # fmt: skip
    if shortage := memory.shortage(needed, free_mb):
        raise SystemExit(f"{asked.dataset} at {asked.size}x{asked.size} does not fit: {shortage}")


def learn(
    asked: Parameters, about: Manifest, train: Here, holdout: Here, started: float, *, cores: int
) -> dict[str, Any]:
    """Train, score and publish; return the metrics. Raises BadClasses; `started`: when reading began."""
    known = classes.count(about)
    counts = [0] * known
    for labels, _ in train.blocks:
        for label in labels.tolist():
            counts[label] += 1
    classes.require_two(counts)
    say(f"Boosting on {sum(counts):,} images of {asked.size}x{asked.size}, on {cores} cores")
    begun = time.monotonic()
    weights = classes.weights(classes.rows(about), asked.balance)
    found = fit(train.blocks, asked, weights, channels=about.channels, cores=cores, say=say)
    fitted = time.monotonic()
    if asked.patience:
        say(f"Taking the first {found.rounds} rounds, after which the validation loss was lowest")
    judged = judge(holdout.blocks, found.model.shares, known)
    boosted.save(found.model, results_folder() / boosted.FOLDER)
    draw(judged, about, results_folder())
    metrics = {
        "job": "boosting",
        "dataset": asked.dataset,
        "image_size": asked.size,
        "pixels": about.columns - 1,
        "normalise": asked.normalise,
        "variant": asked.variant,
        "columns": len(found.model.input.columns) or about.columns - 1,
        "class_names": classes.names(about),
        "train_rows": sum(counts),
        "holdout_rows": int(judged.matrix.sum()),
        "rounds": found.rounds,
        "read_seconds": round(begun - started, 2),
        "train_seconds": round(fitted - started, 2),
        "seconds": round(time.monotonic() - started, 2),
        **scores.summary(judged.matrix),
        "validation_losses": [round(loss, 6) for loss in found.losses],
    }
    save_metrics(metrics)
    scores.warn(scores.one_sided(judged.matrix))
    return metrics


def headline(metrics: dict[str, Any]) -> str:
    """Return the result in one line."""
    side = metrics["image_size"]
    return (
        f"accuracy {metrics['accuracy']:.2%}, "
        f"quadratically weighted kappa {metrics['quadratic_weighted_kappa']:.3f}, F2 {metrics['f2']:.3f} "
        f"on {metrics['holdout_rows']:,} held-out images of {side}x{side} "
        f"({metrics['train_rows']:,} to train on, {metrics['rounds']} rounds, {metrics['seconds']:.0f} s)"
    )


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main() -> None:
    """Read with Spark, which no executor helps, learn without it, tell."""
    asked = given(Parameters)
    with prepared.session(f"boosting {asked.size}x{asked.size}", BadClasses, executors=False) as spark:
        about = prepared.manifest(spark, asked.folder(TRAIN))
        held = prepared.manifest(spark, asked.folder(HOLDOUT))
        has = share_of(spark)
        require(asked, about, has.master_mb, held.rows)
        started = time.monotonic()
        columns = about.columns - 1
        train = open_here(spark, asked.folder(TRAIN), columns=columns, draw=draw_of(asked, about))
        holdout = open_here(spark, asked.folder(HOLDOUT), columns=columns)
    try:
        metrics = learn(asked, about, train, holdout, started, cores=has.cores)
    except BadClasses as error:
        raise SystemExit(str(error)) from error
    say(headline(metrics))


if __name__ == "__main__":
    main()
