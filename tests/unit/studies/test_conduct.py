"""A sweep on a cluster in memory: killed and gone on with, within its budget, failures kept as results."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provision.core.errors import LeaseHeld, StateError
from provision.studies import conduct
from provision.studies.diary import Diary, Result
from provision.studies.sweep import ClusterShape, Combination, Layout, Sweep, load_sweep

FILE = """
sizes: [16, 32]
shapes: {nodes: [3, 1, 2]}
layouts: [advised, {cores: 1, memory_gb: 0.5}]
"""


class KilledError(BaseException):
    """The process ends here."""


@dataclass
class FakeBench:
    """A cluster; every run takes 60 s, and one of a small layout on one node fails."""

    there: ClusterShape | None = None
    made: list[tuple[int, int]] = field(default_factory=list)
    runs: dict[str, Combination] = field(default_factory=dict)
    followed: list[str] = field(default_factory=list)
    kill_at: int = 0
    price: float | None = 0.0
    end: float = 0.0
    moments: int = 0

    def tick(self) -> None:
        self.moments += 1
        if self.moments == self.kill_at:
            raise KilledError

    def now(self) -> ClusterShape | None:
        return self.there

    def make(self, shape: ClusterShape, size: int) -> None:
        self.tick()
        self.there = shape
        self.made.append((shape.nodes, size))
        self.tick()

    def layout(self, one: Combination) -> Layout:
        return one.layout or Layout(one.shape.nodes, 2, 1024)

    def run(self, one: Combination, layout: Layout, begun: Callable[[str], None]) -> Result:
        run = f"run-{len(self.runs)}"
        self.tick()
        begun(run)
        self.tick()
        self.runs[run] = one
        self.tick()
        return self.result(run)

    def result(self, run: str) -> Result:
        one = self.runs[run]
        if one.layout and one.shape.nodes == 1:
            return Result(run, "failed", 60.0, "out of memory", 1, 1, 512)
        return Result(run, "succeeded", 60.0, "", one.shape.nodes, 2, 1024, 9.5, 0.9)

    def follow(self, run: str, layout: Layout) -> Result | None:
        self.followed.append(run)
        return self.result(run) if run in self.runs else None

    def hourly(self, shape: ClusterShape) -> float | None:
        return None if self.price is None else self.price * shape.nodes

    def spent(self) -> float:
        return 5.0 + sum((self.price or 0.0) * one.shape.nodes / 60 for one in self.runs.values())

    def ends(self) -> float:
        return self.end


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "results")


def sweep(folder: Path, more: str = "") -> Sweep:
    path = folder / "mine.yml"
    path.write_text(FILE.replace("cores: 1, memory_gb", "executors: 1, cores: 1, memory_gb") + more)
    return load_sweep(path)


def go(wanted: Sweep, diary: Diary, bench: FakeBench) -> list[str]:
    said: list[str] = []
    conduct.conduct(wanted, diary, bench, said.append)
    return said


def test_each_cluster_is_made_once_and_each_size_staged_once_on_it(tmp_path: Path, diary: Diary) -> None:
    bench = FakeBench()
    plan = conduct.outlook(sweep(tmp_path), diary.read(), bench)
    assert plan.machine_operations == 3 and len(plan.left) == 12
    assert (
        "12 runs of logistic_regression on 3 clusters; 3 machine operations" in plan.lines(sweep(tmp_path))[0]
    )
    go(sweep(tmp_path), diary, bench)
    assert bench.made == [(1, 16), (1, 32), (2, 16), (2, 32), (3, 16), (3, 32)]
    found = diary.read().results
    assert len(found) == 12
    failed = [result for result in found.values() if result.state == "failed"]
    assert len(failed) == 2 and {result.reason for result in failed} == {"out of memory"}


def test_killed_at_every_moment_it_goes_on_and_runs_nothing_twice(tmp_path: Path) -> None:
    for moment in range(1, 100):
        diary, bench = Diary(tmp_path / str(moment)), FakeBench(kill_at=moment)
        wanted = sweep(tmp_path)
        try:
            go(wanted, diary, bench)
        except KilledError:
            bench.kill_at = 0
            go(wanted, diary, bench)
        else:
            assert moment > 40
            break
        assert len(bench.runs) == len({str(one) for one in bench.runs.values()}) == 12, moment
        assert len(diary.read().results) == 12
    assert go(wanted, diary, bench) == [], "nothing is left"


def test_it_stops_before_the_run_that_the_budget_would_not_last_for(tmp_path: Path, diary: Diary) -> None:
    bench, wanted = FakeBench(price=1.0), sweep(tmp_path, "budget: 0.30\nminutes: 1\n")
    said = go(wanted, diary, bench)
    assert said[-1].startswith("Stopped before 3 nodes; 16x16; advised: $0.20 of $0.30 is spent. Left: 4 (")
    assert bench.spent() - 5.0 <= 0.30
    assert 3 not in {nodes for nodes, _ in bench.made}, "a cluster was made for a run that may not be"
    go(sweep(tmp_path, "budget: 9\nminutes: 1\n"), diary, bench)
    assert len(diary.read().results) == 12 == len(bench.runs), "a larger budget goes on"


def test_a_price_that_is_not_known_keeps_no_budget(tmp_path: Path, diary: Diary) -> None:
    bench = FakeBench(price=None)
    assert "what it costs is not known" in go(sweep(tmp_path, "budget: 3\n"), diary, bench)[-1]
    assert not bench.made
    assert len(go(sweep(tmp_path), diary, bench)) == 24


@pytest.mark.parametrize("whose", ["sweep", "cluster"])
def test_it_stops_before_a_deadline(tmp_path: Path, diary: Diary, whose: str) -> None:
    bench = FakeBench(end=time.time() + 300 if whose == "cluster" else 0.0)
    said = go(sweep(tmp_path, "deadline: 5m\n" if whose == "sweep" else ""), diary, bench)
    assert "it is expected to take 12 min, and there are 5 min" in said[-1] and not bench.made


def test_a_layout_without_room_is_a_result(
    tmp_path: Path, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = FakeBench()
    monkeypatch.setattr(bench, "layout", lambda one: Layout(0, 64, 99_999))
    go(sweep(tmp_path), diary, bench)
    assert not bench.runs
    assert {result.reason for result in diary.read().results.values()} == {
        "no machine has room for an executor of 64 cores and 99999 MiB"
    }


def test_two_commands_never_work_on_one_sweep(diary: Diary) -> None:
    with diary.locked(), pytest.raises(LeaseHeld, match="another command"), Diary(diary.folder).locked():
        pass
    with diary.locked():
        pass


def test_a_diary_that_is_damaged_says_where(diary: Diary) -> None:
    diary.start(0.0)
    with diary.path.open("a") as stream:
        stream.write('{"kind": "finish", "key": 1}\n{"kind": "beg')
    with pytest.raises(StateError, match=r"sweep\.jsonl, line 2: this line cannot be read"):
        diary.read()
