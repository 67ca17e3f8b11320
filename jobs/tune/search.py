"""The search: asks the study for parameters, has them tried in runs, and tells it what came of them.

The study is a database among this run's results, and this process alone writes to it. Each trial has the
name of its run, so that a search that was killed finds those that have gone on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import optuna
import reporting
from optuna.trial import FrozenTrial, Trial, TrialState
from parameters import Asked
from runs import Seen

LOOK_S = 0.5
"""Seconds between two looks at the runs."""
RUN, AGAIN, TIMES = "run", "again", "times"
"""Attributes of a trial: its run; that its parameters are tried once more; how often they were before."""


class Runs(Protocol):
    """What a search does with runs; see runs.py."""

    def send(self, words: dict[str, str]) -> str:
        """Put a run into the queue; return its name."""
        ...

    def look(self, run: str) -> Seen:
        """Return how a run is."""
        ...

    def cancel(self, run: str) -> None:
        """End a run."""
        ...


class Search:
    """One study. `parallel`: trials at once; `say` prints a line."""

    def __init__(
        self, asked: Asked, study: optuna.Study, runs: Runs, parallel: int, say: Callable[[str], None]
    ) -> None:
        self.asked = asked
        self.study = study
        self.runs = runs
        self.parallel = parallel
        self.say = say
        self.running: dict[str, Trial] = {}

    def go(self) -> None:
        """Search until so many trials have ended as were asked for."""
        self._take_up()
        while self._fill() or self.running:
            for run, trial in tuple(self.running.items()):
                self._watch(run, trial)
            if self.running:
                time.sleep(LOOK_S)

    def ended(self) -> list[FrozenTrial]:
        """Return the trials that count: not those whose parameters are tried again."""
        over = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        return [one for one in self.study.get_trials(states=over) if not one.user_attrs.get(AGAIN)]

    def _take_up(self) -> None:
        """Go on with trials that were running when an earlier search ended."""
        for frozen in self.study.get_trials(states=(TrialState.RUNNING,)):
            trial = Trial(self.study, frozen._trial_id)
            if RUN in frozen.user_attrs:
                self.running[frozen.user_attrs[RUN]] = trial
            else:  # killed before its run was sent
                self._again(trial)

    def _fill(self) -> bool:
        """Begin trials while there is room; return whether any was begun."""
        begun = False
        while len(self.running) < self.parallel and (
            len(self.ended()) + len(self.running) < self.asked.own.trials
        ):
            trial = self.study.ask()
            searched = {each.name: each.suggest(trial) for each in self.asked.searched}
            run = self.runs.send({**self.asked.fixed, **searched})
            trial.set_user_attr(RUN, run)
            self.running[run] = trial
            words = " ".join(f"{name}={value}" for name, value in searched.items())
            self.say(f"Trial {trial.number}: {words} ({run})")
            begun = True
        return begun

    def _watch(self, run: str, trial: Trial) -> None:
        """Look at a run; tell the study what is new of it."""
        seen, metric = self.runs.look(run), self.asked.own.metric
        if not seen.ended:
            if metric in seen.metrics and seen.step >= 0:
                trial.report(seen.metrics[metric], seen.step)
                if self.asked.own.prune and trial.should_prune():
                    self.runs.cancel(run)
                    self._tell(run, trial, TrialState.PRUNED, f"pruned after step {seen.step}")
            return
        if seen.lost and trial.user_attrs.get(TIMES, 0) < self.asked.own.retries:
            self.say(f"Trial {trial.number}: {seen.reason}; its parameters are tried again")
            self._again(trial)
            del self.running[run]
        elif metric in seen.metrics:
            value = seen.metrics[metric]
            self._tell(run, trial, TrialState.COMPLETE, f"{metric} {value:.6g}", value)
        else:
            reason = seen.reason or f"{seen.state}, and its metrics.json has no {metric}"
            self._tell(run, trial, TrialState.FAIL, reason)

    def _tell(self, run: str, trial: Trial, state: TrialState, what: str, value: float | None = None) -> None:
        self.study.tell(trial, values=value, state=state)
        del self.running[run]
        self.say(f"Trial {trial.number}: {what} [{len(self.ended())}/{self.asked.own.trials}]")
        self.tell_far()

    def _again(self, trial: Trial) -> None:
        """Have a trial's parameters tried once more, as the next trial."""
        trial.set_user_attr(AGAIN, value=True)
        times = trial.user_attrs.get(TIMES, 0) + 1
        self.study.enqueue_trial(trial.params, user_attrs={TIMES: times})
        self.study.tell(trial, state=TrialState.FAIL)

    def tell_far(self) -> None:
        """Tell the queue how far the search is, and the best value so far."""
        own, complete = self.asked.own, self.study.get_trials(states=(TrialState.COMPLETE,))
        best = {own.metric: self.study.best_value} if complete else {}
        reporting.report(len(self.ended()), own.trials, "trial", **best)
