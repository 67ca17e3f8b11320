"""Experiments on machines in memory: at most as many as runs, killed and gone on with, failures kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provision.studies import comparison, side_by_side
from provision.studies.diary import Diary, Result
from provision.studies.experiments import Experiment, Experiments, load_experiments

FILE = "job: cnn\ngrid: {rate: [1, 2, 3, 4]}\n"


class KilledError(BaseException):
    """The process ends here."""


@dataclass
class FakeMachines:
    """A queue of which each look ends one run; that with rate=3 fails."""

    made: list[int] = field(default_factory=list)
    queue: dict[str, tuple[Experiment, str]] = field(default_factory=dict)
    kill_at: int = 0
    moments: int = 0

    def tick(self) -> None:
        self.moments += 1
        if self.moments == self.kill_at:
            raise KilledError

    def make(self, count: int) -> None:
        self.tick()
        if not self.made or self.made[-1] != count:
            self.made.append(count)
        self.tick()

    def send(self, one: Experiment, begun: Callable[[str], None]) -> None:
        self.tick()
        run = f"run-{len(self.queue)}"
        begun(run)
        self.tick()
        self.queue[run] = (one, "queued")
        self.tick()

    def runs(self) -> Mapping[str, Mapping[str, Any]]:
        self.tick()
        for run, (one, state) in self.queue.items():
            if state == "queued" and self.made[-1]:
                self.queue[run] = (one, "failed" if one.own["rate"] == "3" else "succeeded")
                break
        return {run: {"run": run, "state": state} for run, (_, state) in self.queue.items()}

    def result(self, record: Mapping[str, Any]) -> Result:
        self.tick()
        one, state = self.queue[record["run"]]
        metrics = {"accuracy": int(one.own["rate"]) / 10} if state == "succeeded" else {}
        return Result(record["run"], state, 60.0, "" if metrics else "out of memory", metrics=metrics)


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiments:
    monkeypatch.setattr(side_by_side, "LOOK_S", 0.0)
    (tmp_path / "mine.yml").write_text(FILE)
    return load_experiments(tmp_path / "mine.yml")


def test_machines_are_made_and_deleted_and_the_best_run_is_at_the_top(
    wanted: Experiments, tmp_path: Path
) -> None:
    machines, heard = FakeMachines(), list[str]()
    diary = Diary(tmp_path / "results", "experiments")
    page = side_by_side.Study(wanted, diary, machines, heard.append).conduct(3)
    assert machines.made == [3, 0] and heard[-1].startswith("[4/4] ")
    found = comparison.rows(wanted, page)
    assert [one.own["rate"] for one, _ in found] == ["4", "2", "1", "3"]
    text = comparison.as_text(found)
    assert "out of memory" in text.splitlines()[-1] and "0.4" in text.splitlines()[1]
    csv = comparison.write(found, diary.folder).read_text().splitlines()
    assert csv[0].startswith("rate,state,accuracy,run_seconds") and len(csv) == 5


def test_no_more_machines_than_runs_and_none_when_nothing_is_left(
    wanted: Experiments, tmp_path: Path
) -> None:
    machines, diary = FakeMachines(), Diary(tmp_path / "results", "experiments")
    side_by_side.Study(wanted, diary, machines, print).conduct(9)
    side_by_side.Study(wanted, diary, machines, print).conduct(9)
    assert machines.made == [4, 0] and len(machines.queue) == 4


@pytest.mark.parametrize("moment", range(1, 30))
def test_killed_at_any_moment_it_goes_on_and_runs_nothing_twice(
    wanted: Experiments, tmp_path: Path, moment: int
) -> None:
    machines, diary = FakeMachines(kill_at=moment), Diary(tmp_path / "results", "experiments")
    try:
        side_by_side.Study(wanted, diary, machines, print).conduct(2)
    except KilledError:
        page = side_by_side.Study(wanted, diary, machines, print).conduct(2)
        assert len(page.results) == 4
    assert machines.made[-1] == 0
    assert sorted(one.own["rate"] for one, _ in machines.queue.values()) == ["1", "2", "3", "4"]
