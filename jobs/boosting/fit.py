"""Boosting with XGBoost: rows go in as blocks of bytes, and become bins of one byte, never doubles."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xgboost
from boosted import Input, Model
from memory import BINS
from parameters import Parameters
from pixels import Block
from variant_names import NORMAL, VARYING
from variants import varying

ASKED = "validation"
TOLD_S = 5.0
"""Seconds between two lines about how far it is."""


@dataclass(frozen=True)
class Boosted:
    """A model, up to the best round if early stopping chose it. `losses`: of validation, each round."""

    model: Model
    rounds: int
    losses: list[float] = field(default_factory=list)


class Blocks(xgboost.DataIter):  # type: ignore[misc]  # XGBoost is not where types are checked
    """Blocks of rows, one after another. `weights`: what a row of each class weighs."""

    def __init__(self, blocks: Sequence[Block], weights: Sequence[float], given: Input) -> None:
        super().__init__()
        self._blocks, self._weights, self._given = blocks, np.array(weights), given
        self._place = 0

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand the next block on; False = there is none."""
        if self._place == len(self._blocks):
            return False
        labels, pixels = self._blocks[self._place]
        self._place += 1
        input_data(data=self._given.of(pixels), label=labels, weight=self._weights[labels])
        return True

    def reset(self) -> None:
        """Begin again."""
        self._place = 0


class Told(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Says now and then how far it is."""

    def __init__(self, rounds: int, say: Callable[[str], None]) -> None:
        super().__init__()
        self._rounds, self._say = rounds, say
        self._begin = self._last = time.monotonic()

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ANN401
        """Say it; False = go on."""
        del model
        now = time.monotonic()
        if now - self._last >= TOLD_S:
            self._last, asked = now, ""
            for losses in evals_log.get(ASKED, {}).values():
                asked = f" validation loss {losses[-1]:.4f},"
            self._say(f"round {epoch + 1} of {self._rounds}:{asked} {now - self._begin:.1f} s")
        return False


def parted(blocks: list[Block], share: float, seed: int) -> tuple[list[Block], list[Block]]:
    """Return blocks to learn from, and blocks of a share of the rows to ask after; `blocks` is used up."""
    generator = np.random.default_rng(seed)
    learnt: list[Block] = []
    asked: list[Block] = []
    while blocks:
        labels, pixels = blocks.pop(0)
        those = generator.random(len(labels)) < share
        for rows, target in ((~those, learnt), (those, asked)):
            if rows.any():
                target.append((labels[rows], pixels[rows]))
    return learnt, asked


def input_of(blocks: Sequence[Block], asked: Parameters, channels: int) -> Input:
    """Return what trees are given of pixels. Raises BadClasses: no pixel differs."""
    if asked.variant != VARYING:
        return Input(NORMAL if asked.normalise else asked.variant, channels)
    kept = varying(pixels for _, pixels in blocks)
    return Input(asked.variant, channels, tuple(np.flatnonzero(kept).tolist()))


def fit(
    blocks: list[Block],
    asked: Parameters,
    weights: Sequence[float],
    *,
    channels: int,
    cores: int,
    say: Callable[[str], None],
) -> Boosted:
    """Return what is learnt of rows.

    Args:
        blocks: to learn from; they are used up.
        asked: the parameters.
        weights: what a row of each class weighs; as many as there are classes.
        channels: values of a pixel.
        cores: threads.
        say: prints a line.

    Raises:
        BadClasses: no pixel differs.
    """
    given = input_of(blocks, asked, channels)
    learnt, held = parted(blocks, asked.validation, asked.seed)
    train = xgboost.QuantileDMatrix(Blocks(learnt, weights, given), max_bin=BINS, nthread=cores)
    watched = []
    if held:
        there = Blocks(held, weights, given)
        watched = [(xgboost.QuantileDMatrix(there, ref=train, max_bin=BINS, nthread=cores), ASKED)]
    learnt.clear()
    held.clear()
    told: dict[str, dict[str, list[float]]] = {}
    model = xgboost.train(
        {
            "objective": "multi:softprob", "eval_metric": "mlogloss", "num_class": len(weights),
            "base_score": 0.5,  # of classes without rows XGBoost would make the logarithm of 0
            "tree_method": "hist", "max_bin": BINS, "max_depth": asked.max_depth, "eta": asked.learning_rate,
            "colsample_bytree": asked.columns, "seed": asked.seed, "nthread": cores,
        },
        train, num_boost_round=asked.rounds, evals=watched, evals_result=told, verbose_eval=False,
        early_stopping_rounds=asked.patience or None if watched else None,
        callbacks=[Told(asked.rounds, say)],
    )  # fmt: skip
    losses = [loss for each in told.values() for loss in each["mlogloss"]]
    rounds = model.best_iteration + 1 if watched and asked.patience else model.num_boosted_rounds()
    return Boosted(Model(model[:rounds], given), rounds, losses)
