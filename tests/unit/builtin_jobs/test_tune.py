"""jobs/tune: what is searched, and the search itself on runs in memory; Optuna is the real one."""

from __future__ import annotations

import importlib
import sys
import warnings
from dataclasses import dataclass, field

import pytest
from options import BadParameter

from provision.core.errors import BadJob
from provision.core.paths import PROJECT
from provision.jobs.builtin import parameters_help, require_parameters

JOB = PROJECT / "jobs" / "tune"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Return what imports one of the job's modules, none of which another job has left behind."""
    monkeypatch.syspath_prepend(str(JOB))
    for path in JOB.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Optuna says of itself when it is imported
        yield importlib.import_module


# --- what is searched


def test_ranges_choices_and_what_every_trial_has(module):
    asked = module("parameters").read(
        ["trials=6", "on=gpu", "epochs=5", "dropout=0..0.5", "rate=0.001..0.1:log", "batch=16..64",
         "network=small", "network=mlp"]
    )  # fmt: skip
    assert (asked.own.trials, asked.own.on, asked.own.job) == (6, "gpu", "cnn")
    assert asked.fixed == {"epochs": "5"}
    by_name = {each.name: each for each in asked.searched}
    assert by_name["network"].edges() == ("small", "mlp")
    assert by_name["batch"].edges() == ("16", "64") and by_name["batch"].whole
    assert by_name["dropout"].edges() == ("0.0", "0.5") and not by_name["dropout"].log
    assert by_name["rate"].log


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["epochs=5"], "nothing to search: give ranges"),
        (["rate=0..1:log"], "rate=0..1:log: a range is low..high, or low..high:log of positive numbers"),
        (["rate=2..1"], "rate=2..1: a range is"),
        (["rate=a..b"], "rate=a..b: a range is"),
        (["network=a", "network=a"], "network has the same value twice"),
        (["trials=0", "rate=0..1"], "trials=0: has to be a whole number"),
        (["network"], "'network' is no parameter: write name=value"),
    ],
)
def test_what_is_wrong_is_one_line(module, words, said):
    with pytest.raises(BadParameter) as caught:
        module("parameters").read(words)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dropout=0..2"], "dropout=2: has to be a number, 0 to 0.95"),
        (["network=small", "network=huge"], "network=huge: has to be small"),
        (["dropuot=0..0.5"], "unknown parameter 'dropuot' (did you mean dropout?)"),
        (["job=cnnn", "dropout=0..0.5"], "job=cnnn: is no built-in job with parameters"),
    ],
)
def test_the_tuned_job_looks_at_every_value_before_anything_is_sent(words, said):
    with pytest.raises(BadJob) as caught:
        require_parameters(PROJECT, "tune", words)
    assert said in str(caught.value)
    require_parameters(PROJECT, "tune", ["dropout=0..0.5", "network=small", "network=mlp", "epochs=2"])
    assert "low..high" in parameters_help(PROJECT, "tune")


# --- the search


class KilledError(BaseException):
    """The process ends here."""


@dataclass
class FakeRuns:
    """Runs that take three looks; the value of each is its x, told at every step."""

    seen: object
    known: dict[str, dict[str, str]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    most_at_once: int = 0
    kill_at: int = 0
    moments: int = 0

    def tick(self) -> None:
        self.moments += 1
        if self.moments == self.kill_at:
            raise KilledError

    def send(self, words):
        self.tick()
        run = f"run-{len(self.known)}"
        self.known[run] = dict(words)
        open_runs = [one for one in self.known if self.looks.get(one, 0) < 3 and one not in self.cancelled]
        self.most_at_once = max(self.most_at_once, len(open_runs))
        self.tick()
        return run

    def look(self, run):
        self.tick()
        self.looks[run] = self.looks.get(run, 0) + 1
        if run in self.lost:
            return self.seen("failed", "the machine is gone", lost=True)
        metrics = {"accuracy": float(self.known[run]["x"])}
        if float(self.known[run]["x"]) == 3:
            metrics = {}
        if self.looks[run] >= 3:
            return self.seen("succeeded", metrics=metrics)
        return self.seen("running", step=self.looks[run], metrics=metrics)

    def cancel(self, run):
        self.cancelled.add(run)


@pytest.fixture
def search(module, tmp_path, monkeypatch):
    """Return what makes a search over x of 0..9 (whole) in a study on the disk."""
    monkeypatch.delenv("MUSTER_PROGRESS", raising=False)
    monkeypatch.setattr(module("search"), "LOOK_S", 0.0)

    def make(runs, *words: str, parallel: int = 2):
        asked = module("parameters").read(["x=0..9", *words])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = module("main").opened(asked, tmp_path)
        return module("search").Search(asked, study, runs, parallel, print)

    return make


@pytest.fixture
def runs(module):
    return FakeRuns(module("runs").Seen)


def test_so_many_trials_at_once_until_enough_have_ended(search, runs, module, tmp_path):
    found = search(runs, "trials=12", "epochs=2", "prune=false")
    found.go()
    assert len(found.ended()) == 12 and runs.most_at_once == 2
    assert all(words["epochs"] == "2" for words in runs.known.values())
    metrics = module("outcome").write(found.study, found.ended(), found.asked, tmp_path)
    best = max(float(words["x"]) for words in runs.known.values())
    assert metrics["value"] == metrics["accuracy"] == best and metrics["best"] == {"x": best}
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 13
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = module("pictures").draw(found.study, tmp_path)
    assert drawn == ["parallel_coordinates.png", "importance.png"]
    assert all((tmp_path / name).stat().st_size > 5000 for name in drawn)


def test_what_is_worse_than_the_median_is_ended_early(search, runs, module, tmp_path):
    found = search(runs, "trials=20")
    found.go()
    assert runs.cancelled and all(float(runs.known[run]["x"]) < 9 for run in runs.cancelled)
    metrics = module("outcome").write(found.study, found.ended(), found.asked, tmp_path)
    assert metrics["pruned"] == len(runs.cancelled) and metrics["trials"] == 20


def test_a_lost_trial_is_tried_again_with_the_same_parameters(search, runs):
    runs.lost = {"run-1"}
    found = search(runs, "trials=4", "prune=false")
    found.go()
    assert len(runs.known) == 5 and len(found.ended()) == 4
    again = [run for run, words in runs.known.items() if words == runs.known["run-1"]]
    assert len(again) >= 2


def test_one_that_is_always_lost_is_given_up(search, runs, module, tmp_path):
    runs.lost = {f"run-{number}" for number in range(100)}
    found = search(runs, "trials=2", "retries=1")
    found.go()
    assert len(runs.known) == 4
    metrics = module("outcome").write(found.study, found.ended(), found.asked, tmp_path)
    assert (metrics["failed"], metrics["tried_again"]) == (2, 2) and "best" not in metrics


@pytest.mark.parametrize("moment", range(1, 40, 4))
def test_killed_at_any_moment_it_goes_on_with_what_runs(search, runs, moment):
    runs.kill_at = moment
    found = search(runs, "trials=4", "prune=false")
    try:
        found.go()
    except KilledError:
        found = search(runs, "trials=4", "prune=false")
        found.go()
    assert len(found.ended()) == 4
    assert len(runs.known) <= 5, "at most the run that was being sent is sent again"


def test_another_search_is_no_continuation(search, runs, module):
    search(runs, "trials=2")
    with pytest.raises(BadParameter, match="that it was begun with"):
        search(runs, "trials=2", "y=0..1")
