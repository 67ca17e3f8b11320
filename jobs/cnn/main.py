"""A network learns the pictures of a prepared set with PyTorch.

Reads the sets `train` and `holdout` (Parquet) from HDFS, window by window; writes metrics.json, pictures of
the confusion matrix and of the worst mistakes, and the network as `network`, which `predict` knows. Each
epoch is saved in HDFS, so that a run that was broken off can go on.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import checkpoints
import classes
import device
import judged
import prepared
import reporting
import scores
import scripted
import together
import torch
from checkpoints import Checkpoints
from classes import BadClasses
from exchange import Alone
from fit import Course, Fit
from images import BadSet
from judged import Judged
from opening import Sets
from options import BadParameter, given
from parameters import Parameters
from pieces import TooLarge
from plan import plan, sides
from publish import results_folder, save_metrics
from resuming import BadCheckpoint, resumed
from scoring import OneLabel, Tally
from selection import LEARNT
from together import BrokenOff, TooFew
from training import Answering, Learner

from muster_node.sets import HOLDOUT, TRAIN, Manifest


def learn(asked: Parameters, where: torch.device) -> dict[str, Any]:
    """Train, score and publish; return the metrics."""
    begin = time.monotonic()
    sets = Sets.of(asked)
    state = checkpoints.load(sets.hdfs, asked.resume) if asked.resume else None
    if state:
        words = dict(word.split("=", 1) for word in sys.argv[1:])
        asked = resumed(asked, state, words)
        sets = Sets.of(asked)
    wanted = plan(asked, sets.about(TRAIN, sides(asked)[-1]))
    kept = Checkpoints(sets.hdfs, checkpoints.here())
    kept.start(state)
    fit = Fit(asked, wanted, sets, Alone(), where, kept, say)
    side = wanted.sides[-1]
    holdout = sets.open(HOLDOUT, side, wanted.held_out, fit.exchange)
    about = holdout.about
    sizes = ", ".join(f"{each}x{each}" for each in dict.fromkeys(wanted.sides))
    say(f"Training {asked.network} on {about.dataset} at {sizes}, on the {where.type}")
    if state:
        say(f"Going on after epoch {len(state['course']['losses'])} of {asked.resume}")
    ranks = 1
    if asked.nodes != 1:
        with prepared.session(f"cnn {side}x{side}", TooFew, BrokenOff) as spark:
            ranks = together.learn(spark, asked, checkpoints.here(), say)
    learner, course = fit.run(kept.last())
    tell_end(asked, course)
    trained, tally = time.monotonic(), fit.tally()
    learner.ask(holdout.loader.in_order(LEARNT, asked.batch), tally)
    metrics = {
        "job": "cnn",
        "dataset": asked.dataset,
        "image_size": side,
        "pixels": holdout.columns,
        "device": where.type,
        "nodes": ranks,
        "network": asked.network,
        "variant": asked.variant,
        "output": wanted.output,
        "weights": sum(each.numel() for each in learner.network.parameters()),
        "class_names": classes.names(about),
        "train_rows": course.rows,
        "holdout_rows": tally.rows,
        "epochs": course.epochs,
        "train_seconds": round(trained - begin, 2),
        "seconds": 0.0,
        **tally.summary(),
        "losses": [round(loss, 6) for loss in course.losses],
        "validation": course.validation,
    }
    publish(learner, tally, about)
    metrics["seconds"] = round(time.monotonic() - begin, 2)
    save_metrics(metrics)
    scores.warn(tally.warning())
    return metrics


def publish(learner: Learner, tally: Tally, about: Manifest) -> None:
    """Draw what is known of mistakes, and save the network."""
    results = results_folder()
    like = torch.zeros(1, about.channels, about.size, about.size)
    scripted.save(Answering(learner.network, learner.objective).cpu(), like, results / scripted.FOLDER)
    if isinstance(tally, OneLabel):
        judged.draw(Judged(tally.matrix, tuple(tally.worst)), about, results)


def tell_end(asked: Parameters, course: Course) -> None:
    """Say which network is taken where early stopping has chosen it."""
    if not asked.patience:
        return
    losses = [each["loss"] for each in course.validation]
    if course.epochs < asked.epochs:
        say(f"No lower validation loss for {asked.patience} epochs: this is the end")
    say(f"Taking the network of epoch {losses.index(min(losses)) + 1}, which had the lowest validation loss")


def headline(metrics: dict[str, Any]) -> str:
    """Return the result in one line."""
    side, kappa = metrics["image_size"], ""
    if "quadratic_weighted_kappa" in metrics:
        kappa = f"quadratically weighted kappa {metrics['quadratic_weighted_kappa']:.3f}, "
    return (
        f"accuracy {metrics['accuracy']:.2%}, {kappa}F2 {metrics['f2']:.3f} "
        f"on {metrics['holdout_rows']:,} held-out images of {side}x{side} "
        f"({metrics['train_rows']:,} to train on, {metrics['epochs']} epochs, {metrics['seconds']:.0f} s)"
    )


def say(line: str) -> None:
    """Print a line at once; one of `reporting` says how far this is."""
    if not reporting.heard(line):
        print(line, flush=True)


def main() -> None:
    """Learn, and say in a line how well."""
    asked = given(Parameters)
    where = device.choose(asked.device)
    try:
        metrics = learn(asked, where)
    except (BadClasses, BadSet, BadParameter, BadCheckpoint, TooLarge) as error:
        raise SystemExit(str(error)) from error
    say(headline(metrics))


if __name__ == "__main__":
    main()
