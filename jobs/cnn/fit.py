"""A run from its first epoch to its last: pictures grow, the best epoch is kept, each epoch is saved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import classes
import networks
import numpy as np
import reporting
import torch
from checkpoints import Checkpoints
from exchange import Alone, Exchange
from numpy.typing import NDArray
from objective import Objective, OneClass, Ordinal, Several
from opening import Opened, Sets
from parameters import ORDINAL, SEVERAL, Parameters
from plan import Plan
from scoring import OneLabel, SeveralLabels, Tally
from selection import ASKED, LEARNT
from training import Learner, Settings
from variant_names import VARYING
from variants import varying
from watch import Watch

from muster_node.sets import TRAIN, Manifest


@dataclass
class Course:
    """How a run has gone. `rows`: that are learnt; the lists have a number for each epoch."""

    rows: int = 0
    losses: list[float] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many have been gone through."""
        return len(self.losses)

    def latest(self) -> dict[str, float]:
        """Return what was measured after the last epoch."""
        asked = {f"validation_{name}": value for one in self.validation[-1:] for name, value in one.items()}
        return {"loss": self.losses[-1], **asked}


@dataclass
class Fit:
    """One run in one process.

    Args:
        asked: the parameters.
        plan: what they ask for.
        sets: where pictures are read.
        exchange: the processes that learn together.
        device: where is computed.
        checkpoints: where each epoch is saved.
        say: prints a line.
    """

    asked: Parameters
    plan: Plan
    sets: Sets
    exchange: Exchange
    device: torch.device
    checkpoints: Checkpoints
    say: Callable[[str], None]

    def run(self, state: dict[str, Any] | None = None) -> tuple[Learner, Course]:
        """Learn, from a checkpoint on where there is one; return what has been learnt. Raises BadSet."""
        train = self._open(self.plan.sides[0])
        counted = train.loader.count(LEARNT)
        learner = self._learner(train, counted.classes)
        course, watch = Course(counted.rows), Watch(self.asked.patience)
        best: dict[str, Any] | None = None
        if state:
            learner.load(state["learner"])
            course, watch, best = Course(**state["course"]), Watch(**state["watch"]), state["best"]
        begin = time.monotonic()
        for number in range(course.epochs, self.asked.epochs):
            if watch.over:
                break
            if train.about.size != self.plan.sides[number]:
                train = self._open(self.plan.sides[number])
            self._epoch(learner, train, course, number)
            told = f"epoch {number + 1} of {self.asked.epochs}: loss {course.losses[-1]:.4f}"
            if self.asked.validation:
                asked = course.validation[-1]
                told += f", validation loss {asked['loss']:.4f}, accuracy {asked['accuracy']:.2%}"
                if watch.see(asked["loss"]) and watch.patience:
                    best = {name: each.clone() for name, each in learner.network.state_dict().items()}
            self.say(f"{told}, {time.monotonic() - begin:.1f} s")
            self.say(reporting.line(number + 1, self.asked.epochs, "epoch", **course.latest()))
            self._save(learner, course, watch, best)
        if best:
            learner.network.load_state_dict(best)
        return learner, course

    def tally(self) -> Tally:
        """Return what takes in answers."""
        if self.plan.output == SEVERAL:
            return SeveralLabels(self.plan.classes, self.asked.threshold)
        return OneLabel(self.plan.classes)

    def _open(self, side: int) -> Opened:
        return self.sets.open(TRAIN, side, self.plan.selection, self.exchange)

    def _epoch(self, learner: Learner, train: Opened, course: Course, number: int) -> None:
        batches = train.loader.epoch(LEARNT, self.asked.batch, seed=self.asked.seed, number=number)
        course.losses.append(learner.epoch(batches, number))
        if not self.asked.validation:
            return
        tally = self.tally()
        loss = learner.ask(train.loader.in_order(ASKED, self.asked.batch), tally)
        sums = torch.tensor([loss, tally.right, tally.rows], dtype=torch.float64, device=self.device)
        self.exchange.add(sums)
        loss, right, rows = sums.tolist()
        course.validation.append({"loss": loss / max(rows, 1), "accuracy": right / max(rows, 1)})

    def _save(self, learner: Learner, course: Course, watch: Watch, best: dict[str, Any] | None) -> None:
        if self.exchange.rank:
            return
        self.checkpoints.save(
            {
                "parameters": asdict(self.asked), "learner": learner.state(), "course": asdict(course),
                "watch": asdict(watch), "best": best,
            }
        )  # fmt: skip

    def _learner(self, train: Opened, counts: dict[int, int]) -> Learner:
        """Return a network that knows nothing yet; the same in each process."""
        about, objective = train.about, objective_of(self.plan)
        torch.manual_seed(self.asked.seed)
        network = networks.build(
            self.asked.network, channels=about.channels, side=about.size, outputs=objective.outputs,
            dropout=self.asked.dropout, kept=self._kept(about) if self.asked.variant == VARYING else None,
        )  # fmt: skip
        rows = [counts.get(number, 0) for number in range(self.plan.classes)]
        weights = classes.weights(rows, self.asked.balance)
        settings = Settings(
            epochs=self.asked.epochs, learning_rate=self.asked.learning_rate,
            weight_decay=self.asked.weight_decay, changes=self.plan.changes, class_weights=tuple(weights),
            channels=about.channels, variant=self.asked.variant, seed=self.asked.seed, mixed=self.asked.mixed,
        )  # fmt: skip
        return Learner(network, objective, settings, device=self.device, exchange=self.exchange, say=self.say)

    def _kept(self, about: Manifest) -> NDArray[np.bool_]:
        """Return which values (side, side, channels) differ among the pictures that are learnt."""
        every = self.sets.open(TRAIN, about.size, self.plan.selection, Alone())
        batches = every.loader.in_order(LEARNT, self.asked.batch)
        return varying(batch.pixels for batch in batches).reshape(about.size, about.size, about.channels)


def objective_of(plan: Plan) -> Objective:
    """Return what the network's numbers mean."""
    if plan.output == SEVERAL:
        return Several(plan.classes)
    return (Ordinal if plan.output == ORDINAL else OneClass)(plan.classes, plan.chosen)
