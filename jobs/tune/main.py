"""Optuna tunes another job: each trial is a run of the queue, on one machine of a group.

Writes study.db (Optuna's), trials.csv, metrics.json with the best parameters, and pictures of how important
each parameter was and of all trials as parallel coordinates.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import optuna
import outcome
import pictures
import runs
from options import BadParameter
from parameters import MAXIMIZE, Asked, read
from publish import results_folder, save_metrics
from search import Search

from muster_node.queue import placing, records

DATABASE = "study.db"
STARTUP = 5
"""Trials that come to their end before any is pruned, and before the sampler learns from them."""


class Queue:
    """The cluster's queue, as a search asks it."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked

    def send(self, words: dict[str, str]) -> str:
        """See `search.Runs`."""
        own = self.asked.own
        return runs.send(own.job, words, on=own.on, cores=own.cores, memory_gb=own.memory)

    look = staticmethod(runs.look)
    cancel = staticmethod(runs.cancel)


def opened(asked: Asked, folder: Path) -> optuna.Study:
    """Return the study: a new one, or that of the run that is to be gone on with. Raises BadParameter."""
    own = asked.own
    if own.resume:
        try:
            before = records.folder(own.resume) / "results" / DATABASE
        except records.Refused as error:
            raise BadParameter(f"resume={own.resume}: {error}") from error
        if not before.is_file():
            raise BadParameter(f"resume={own.resume}: that run has no {DATABASE} on this cluster")
        shutil.copy(before, folder / DATABASE)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / DATABASE}",
        study_name="tune",
        load_if_exists=True,
        direction="maximize" if own.direction == MAXIMIZE else "minimize",
        sampler=optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=own.seed, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
    )
    words = {"fixed": asked.fixed, "searched": [repr(each) for each in asked.searched], "job": own.job}
    if study.user_attrs.setdefault("asked", words) != words:
        raise BadParameter(f"resume={own.resume}: give the job and the parameters that it was begun with")
    study.set_user_attr("asked", words)
    return study


def machines(group: str) -> int:
    """Return how many machines of a group the queue has."""
    known = placing.machines_of(records.settings())
    return sum(one.group == group for one in known)


def tune(asked: Asked) -> dict[str, Any]:
    """Search, and write what came of it; return the metrics. Raises BadParameter."""
    folder = results_folder()
    study = opened(asked, folder)
    at_once = asked.own.parallel or max(1, machines(asked.own.on))
    search = Search(asked, study, Queue(asked), at_once, say)
    try:
        search.go()
    finally:
        metrics = outcome.write(study, search.ended(), asked, folder)
        save_metrics(metrics)
    pictures.draw(study, folder)
    return metrics


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main() -> None:
    """Tune, and say in a line what is best."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        metrics = tune(read(sys.argv[1:]))
    except BadParameter as error:
        raise SystemExit(str(error)) from error
    if "best" not in metrics:
        raise SystemExit("no trial came to its end; their reasons are above")
    best = " ".join(f"{name}={value}" for name, value in metrics["best"].items())
    say(
        f"Best of {metrics['trials']} trials: {metrics['metric']} {metrics['value']:.6g} "
        f"with {best} ({metrics['run']})"
    )


if __name__ == "__main__":
    main()
