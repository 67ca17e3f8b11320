"""What a search writes: a table of all trials, and the metrics."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from parameters import Asked
from search import RUN

TABLE = "trials.csv"


def write(study: optuna.Study, ended: Sequence[FrozenTrial], asked: Asked, folder: Path) -> dict[str, Any]:
    """Write the table of the trials that have ended; return the metrics, of the best one if there is one."""
    names = [each.name for each in asked.searched]
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["trial", "state", asked.own.metric, *names, "steps", "seconds", "run"])
        for one in ended:
            took = round(one.duration.total_seconds(), 1) if one.duration else ""
            values = [one.params.get(name, "") for name in names]
            steps, run = len(one.intermediate_values), one.user_attrs.get(RUN, "")
            value = "" if one.state is not TrialState.COMPLETE else one.value
            table.writerow([one.number, one.state.name.lower(), value, *values, steps, took, run])
    counts = Counter(one.state for one in ended)
    metrics: dict[str, Any] = {
        "job": "tune",
        "tuned": asked.own.job,
        "trials": len(ended),
        "complete": counts[TrialState.COMPLETE],
        "pruned": counts[TrialState.PRUNED],
        "failed": counts[TrialState.FAIL],
        "tried_again": len(study.get_trials(states=(TrialState.FAIL,))) - counts[TrialState.FAIL],
        "metric": asked.own.metric,
    }
    if counts[TrialState.COMPLETE]:
        best = study.best_trial
        metrics |= {
            "value": best.value,
            asked.own.metric: best.value,
            "run": best.user_attrs.get(RUN, ""),
            "best": best.params,
        }
    return metrics
