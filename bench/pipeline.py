"""Samples per second of a network that is fed by the job `cnn` as it reads a set, and from memory.

Runs on a node, beside the modules of the job; `bench/learning.py` sends it there. Parameters are the job's.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import sys
import time

import device
import loader
from checkpoints import Checkpoints, here
from exchange import Alone
from fit import Fit
from opening import Sets
from options import given
from parameters import Parameters
from plan import plan, sides
from publish import save_metrics
from selection import LEARNT

from muster_node.sets import TRAIN

ROUNDS = 3
"""Epochs of each; the median counts. One before them, which opens files and fills memory, does not."""
READ, KEPT = 0, 2**62
"""Of what may stay in memory from epoch to epoch."""


def seconds(asked: Parameters, kept: int) -> tuple[int, list[float]]:
    """Return the rows of an epoch, and how long epochs take; `kept`: bytes that may stay in memory."""
    loader.KEPT_BYTES = kept
    sets = Sets.of(asked)
    wanted = plan(asked, sets.about(TRAIN, sides(asked)[-1]))
    fit = Fit(
        asked, wanted, sets, Alone(), device.choose(asked.device), Checkpoints(sets.hdfs, here()), print
    )
    train = sets.open(TRAIN, wanted.sides[0], wanted.selection, fit.exchange)
    counted = train.loader.count(LEARNT)
    learner = fit._learner(train, counted.classes)  # noqa: SLF001  with the job's own optimizer
    took = []
    for number in range(ROUNDS + 1):
        begin = time.monotonic()
        learner.epoch(train.loader.epoch(LEARNT, asked.batch, seed=asked.seed, number=number), number)
        took.append(time.monotonic() - begin)
    return counted.rows, sorted(took[1:])


def main() -> None:
    """Measure both, read and kept."""
    asked = given(Parameters)
    rates = {}
    for name, kept in (("memory", KEPT), ("read", READ)):
        rows, took = seconds(asked, kept)
        rates[name] = rows / took[len(took) // 2]
        each = ", ".join(f"{one:.2f}" for one in took)
        sys.stdout.write(f"{name}: {rates[name]:,.0f} samples/s ({rows:,} an epoch; epochs of {each} s)\n")
    share = rates["read"] / rates["memory"]
    sys.stdout.write(f"read at {share:.1%} of the rate from memory\n")
    save_metrics(
        {"job": "pipeline", **{name: round(rate, 1) for name, rate in rates.items()}, "share": share}
    )


if __name__ == "__main__":
    main()
