"""A network learns the pictures of a prepared set with PyTorch.

Reads the sets `train` and `holdout` (Parquet) from HDFS, window by window; writes metrics.json, pictures of
the confusion matrix and of the worst mistakes, and the network as `network`, which `predict` knows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import augment
import classes
import device
import hadoop
import images
import networks
import picture
import samples
import scores
import scripted
import torch
from classes import BadClasses
from images import BadSet, Reader
from judging import Judged, judge
from loader import Loader
from objective import OneClass
from options import given
from parameters import SUBSAMPLE, USUAL, WEIGHTS, Parameters
from publish import results_folder, save_metrics
from selection import LEARNT, Selection, shares
from training import Answering, Learner, Settings

from muster_node.sets import HOLDOUT, TRAIN, Manifest


@dataclass(frozen=True)
class Opened:
    """A set that can be read. `about`: what is written about it."""

    about: Manifest
    loader: Loader

    @property
    def columns(self) -> int:
        """Values of a picture."""
        return self.about.size * self.about.size * self.about.channels


def open_set(folder: str, selection: Selection) -> Opened:
    """Return a set in HDFS. Ends the job with a line where it is not there; raises BadSet."""
    address = hadoop.namenode()
    about = hadoop.manifest(hadoop.client(), folder)
    files = hadoop.files(address)
    reader = Reader(lambda path: files.open(path, "rb"))
    columns = about.size * about.size * about.channels
    return Opened(
        about,
        Loader(reader, reader.groups(images.files_of(files, folder)), selection, columns=columns),
    )


def learn(asked: Parameters, where: torch.device) -> dict[str, Any]:
    """Train, score and publish; return the metrics. Raises BadClasses, BadSet."""
    begin = time.monotonic()
    about = hadoop.manifest(hadoop.client(), asked.folder(TRAIN))
    classes.require_learnable(about)
    rows = classes.rows(about)
    selection = Selection(seed=asked.seed, shares=shares(rows) if asked.balance == SUBSAMPLE else ())
    train, holdout = open_set(asked.folder(TRAIN), selection), open_set(asked.folder(HOLDOUT), Selection())
    learner = learner_of(asked, about, where)
    there = train.loader.count(LEARNT)
    print(f"Training on {there.rows:,} images of {about.size}x{about.size} on the {where.type}", flush=True)
    losses = []
    started = time.monotonic()
    for number in range(asked.epochs):
        batches = train.loader.epoch(LEARNT, asked.batch, seed=asked.seed, number=number)
        losses.append(learner.epoch(batches, number))
        print(
            f"epoch {number + 1} of {asked.epochs}: loss {losses[-1]:.4f}, "
            f"{time.monotonic() - started:.1f} s",
            flush=True,
        )
    trained = time.monotonic()
    answering = Answering(learner.network, learner.objective)
    judged = judge(
        answering, holdout.loader.in_order(LEARNT, asked.batch),
        channels=about.channels, classes=classes.count(about), device=where,
    )  # fmt: skip
    metrics = {
        "job": "cnn",
        "dataset": asked.dataset,
        "image_size": asked.size,
        "pixels": train.columns,
        "channels": about.channels,
        "network": asked.network,
        "weights": sum(each.numel() for each in learner.network.parameters()),
        "device": where.type,
        "class_names": classes.names(about),
        "train_rows": there.rows,
        "holdout_rows": int(judged.matrix.sum()),
        "epochs": len(losses),
        "train_seconds": round(trained - started, 2),
        "seconds": 0.0,
        **scores.summary(judged.matrix),
        "losses": [round(loss, 6) for loss in losses],
    }
    draw(judged, metrics, about)
    like = torch.zeros(1, about.channels, about.size, about.size)
    scripted.save(answering.cpu(), like, results_folder() / scripted.FOLDER)
    metrics["seconds"] = round(time.monotonic() - begin, 2)
    save_metrics(metrics)
    if warning := scores.one_sided(judged.matrix):
        print(f"WARNING: {warning}; balance=weights gives rare classes more weight", flush=True)
    return metrics


def learner_of(asked: Parameters, about: Manifest, where: torch.device) -> Learner:
    """Return a network that knows nothing yet, and how it is to learn."""
    known = classes.count(about)
    objective = OneClass(known, tuple(range(known)))
    torch.manual_seed(asked.seed)
    network = networks.build(
        asked.network, channels=about.channels, side=about.size, outputs=objective.outputs,
        dropout=asked.dropout,
    )  # fmt: skip
    rows = classes.rows(about)
    weights = classes.weights(rows) if asked.balance == WEIGHTS else [1.0] * len(rows)
    settings = Settings(
        epochs=asked.epochs, learning_rate=asked.learning_rate, weight_decay=asked.weight_decay,
        changes=augment.usual(about.kind) if asked.augment == USUAL else asked.augment,
        class_weights=tuple(weights), channels=about.channels, seed=asked.seed,
    )  # fmt: skip
    return Learner(network, objective, settings, where)


def draw(judged: Judged, metrics: dict[str, Any], about: Manifest) -> None:
    """Draw the confusion matrix and the worst mistakes."""
    results, side = results_folder(), f"{about.size}x{about.size}"
    picture.draw_confusion(
        judged.matrix,
        title=f"{about.dataset}, {side}: {metrics['accuracy']:.1%} right",
        subtitle=f"network {metrics['network']}, {metrics['holdout_rows']:,} held-out images, "
        f"quadratically weighted kappa {metrics['quadratic_weighted_kappa']:.3f}",
        path=results / "confusion_matrix.png",
    )
    samples.draw(
        judged.worst, size=about.size, names=classes.names(about), path=results / "worst.png",
        title=f"{about.dataset}, {side}: held-out images whose true class seemed least probable",
    )  # fmt: skip


def headline(metrics: dict[str, Any]) -> str:
    """Return the result in one line."""
    side = metrics["image_size"]
    return (
        f"accuracy {metrics['accuracy']:.2%}, "
        f"quadratically weighted kappa {metrics['quadratic_weighted_kappa']:.3f}, F2 {metrics['f2']:.3f} "
        f"on {metrics['holdout_rows']:,} held-out images of {side}x{side} "
        f"({metrics['train_rows']:,} to train on, {metrics['epochs']} epochs, {metrics['seconds']:.0f} s)"
    )


def main() -> None:
    """Learn, and say in a line how well."""
    asked = given(Parameters)
    where = device.choose(asked.device)
    try:
        metrics = learn(asked, where)
    except (BadClasses, BadSet) as error:
        raise SystemExit(str(error)) from error
    print(headline(metrics), flush=True)


if __name__ == "__main__":
    main()
