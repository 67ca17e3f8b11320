"""Deadlines: what the config's durations and money come to, and where they are told."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from provision.cluster.ends import ending_words
from provision.core import names
from provision.core.errors import CommandFailed, NotReady, PlanRefused, Unreachable
from provision.core.model import NodeState, Price, Term
from provision.core.spec import Budget, Duration
from provision.jobs.busy import deadline_warning, refuse_while_busy
from provision.jobs.queue import Queue
from provision.planning.plan import make_plan
from provision.planning.term import extended_term, hourly_price, may_outlive, settle_term
from provision.providers.softlayer.config import SoftLayerBlock
from provision.state.journal import Journal
from tests.fakes.provider import World, cluster, group, machine, spec
from tests.fakes.queue import record

NOW = 1_800_000_000.0
HOUR = 3600
NAMES = ("retina-master", "retina-worker-1", "retina-worker-2")


def settle(old: Term | None = None, *, states=(), hourly: float = 0.0, **keys) -> Term | None:
    wished = spec(**keys)
    exist = [machine(name, state) for name, state in zip(NAMES, states, strict=False)]
    return settle_term(old or Term(), wished, make_plan(wished, exist), hourly=hourly, now=NOW)


RUNS, STOPPED = [NodeState.RUNNING] * 3, [NodeState.STOPPED] * 3


def test_the_deadline_counts_from_the_first_start() -> None:
    term = settle(ttl=Duration("8h"))
    assert term == Term(NOW + 8 * HOUR, since=NOW)
    assert settle() is None


def test_machines_that_join_have_the_deadline_of_the_others() -> None:
    old = Term(NOW + 100, since=NOW - 700)
    assert settle(old, states=RUNS[:2], ttl=Duration("8h")) is None


def test_a_stopped_cluster_gets_a_new_deadline_that_its_machines_must_be_told() -> None:
    for left in (100, -100):
        term = settle(Term(NOW + left), states=STOPPED, ttl=Duration("8h"))
        assert term is not None
        assert (term.deadline, bool(term.pending)) == (NOW + 8 * HOUR, True)
    term = settle(Term(NOW - 100), states=STOPPED)  # ttl was taken out of the file
    assert term is not None
    assert (term.deadline, bool(term.pending)) == (0, True)


def test_one_stopped_machine_of_many_comes_back_to_the_old_deadline() -> None:
    term = settle(Term(NOW + 100), states=[*RUNS[:2], NodeState.STOPPED], ttl=Duration("8h"))
    assert term is not None
    assert (term.deadline, bool(term.pending)) == (NOW + 100, True), "it may have missed an extension"


def test_a_ttl_written_later_counts_from_then() -> None:
    term = settle(states=RUNS, ttl=Duration("90m"))
    assert term is not None
    assert (term.deadline, bool(term.pending)) == (NOW + 90 * 60, True)


@pytest.mark.parametrize(
    ("ttl", "hourly", "hours"), [("", 2.0, 5), ("8h", 2.0, 5), ("4h", 2.0, 4), ("8h", 0.0, 8), ("", 0.0, 0)]
)
def test_the_earlier_of_ttl_and_budget_counts(ttl: str, hourly: float, hours: int) -> None:
    term = settle(hourly=hourly, ttl=Duration(ttl), budget=Budget(total=10.0))
    assert (term.deadline if term else 0) == (NOW + hours * HOUR if hours else 0)


def test_a_cluster_that_grows_reaches_its_budget_earlier() -> None:
    old = Term(NOW + 4 * HOUR, hourly=2.0, since=NOW - HOUR)  # $10 for five hours, one of them gone
    term = settle(old, states=RUNS[:1], hourly=8.0, budget=Budget(total=10.0))
    assert term == Term(NOW + HOUR, 2.0, 8.0, NOW, "changed")


def test_what_was_spent_before_a_stop_counts() -> None:
    stopped = Term(NOW - 9 * HOUR, spent=4.0, hourly=0.0, since=NOW - 10 * HOUR)
    term = settle(stopped, states=STOPPED, hourly=2.0, budget=Budget(total=10.0))
    assert term is not None
    assert term.deadline == NOW + 3 * HOUR
    ended_by_itself = Term(NOW - 9 * HOUR, hourly=2.0, since=NOW - 14 * HOUR)  # it cost nothing after that
    with pytest.raises(PlanRefused, match=r"budget of \$10 is used up \(\$10.00 spent\). Raise budget.total"):
        settle(ended_by_itself, states=STOPPED, hourly=2.0, budget=Budget(total=10.0))


def test_the_price_of_a_cluster_is_only_asked_for_when_a_budget_needs_it() -> None:
    def price(name: str) -> Price | None:
        return {"master": Price(0.5, "table"), "worker": Price(1.0, "table"), "gpu": None}[name]

    assert hourly_price(spec(gpu=2, budget=Budget(total=1.0)), price) == 2.5
    assert hourly_price(spec(gpu=2), pytest.fail) == 0.0


def test_extending_counts_from_the_deadline_or_from_now_when_that_is_over() -> None:
    assert extended_term(Term(NOW + 60), spec(), "4h", NOW).deadline == NOW + 60 + 4 * HOUR
    assert extended_term(Term(NOW - 60), spec(), "4h", NOW).deadline == NOW + 4 * HOUR
    with pytest.raises(NotReady, match="retina: has no deadline that could be moved. `ttl` in the config"):
        extended_term(Term(), spec(), "4h", NOW)
    paid = Term(NOW + HOUR, spent=6.0, hourly=2.0, since=NOW)
    with pytest.raises(PlanRefused, match=r"budget of \$10 lasts until .*Raise budget.total"):
        extended_term(paid, spec(budget=Budget(total=10.0)), "4h", NOW)
    assert extended_term(paid, spec(budget=Budget(total=10.0)), "1h", NOW).deadline == NOW + 2 * HOUR


def ending(*providers: str, deadline: float = NOW + 460 * 60, **keys) -> str:
    groups = tuple(group(f"g{number}", 1, provider=name) for number, name in enumerate(providers))
    words = ending_words(replace(spec(**keys), groups=groups), deadline, now=NOW)
    return "\n".join(words)


def test_how_a_cluster_ends_is_said_for_each_provider() -> None:
    assert "(in 7 h 40 min)" in ending("local")
    assert "power off; they stay, and cost nothing, until destroy or reap" in ending("local")
    assert "ec2 terminate themselves" in ending("ec2")
    assert "BILL ON until `./muster reap`" in ending("softlayer", "ec2")
    assert "cancelled by the master" in ending("softlayer", blocks=(SoftLayerBlock(self_cancel=True),))
    assert "after 30m without a job" in ending("local", deadline=0, autostop=Duration("30m"))
    assert ending("local", deadline=0) == ""
    assert ending("ec2", deadline=0) == "Ends   never by itself: machines on ec2 bill until destroy"
    assert "Ends   8h after its start, or when $20 are spent" in ending(
        "ec2", deadline=0, ttl=Duration("8h"), budget=Budget(total=20.0)
    )
    assert "its time is over" in ending("local", deadline=NOW - 1)


@pytest.mark.parametrize(
    ("left", "took", "said"),
    [
        (8 * HOUR, 0, ""),
        (8 * HOUR, 2 * HOUR, ""),
        (1 * HOUR, 0, "the machines end in 1 h. ./muster extend 4h gives them more time"),
        (3 * HOUR, 4 * HOUR, "the machines end in 3 h; the last run of this job took 4 h. "),
        (100, 0, "its time is over: this job will not run"),
    ],
)
def test_submit_warns_of_the_deadline(left: float, took: float, said: str) -> None:
    warning = may_outlive(NOW + left, now=NOW, last_took=took)
    assert said in warning
    assert bool(said) == bool(warning)


class Answers(Queue):
    def __init__(self, *runs: dict) -> None:
        super().__init__("retina", Path(), "retina-master", Path())
        object.__setattr__(self, "said", list(runs))

    def ask(self, *words: str, timeout_s: float | None = None) -> list[dict]:
        if not self.said:
            raise CommandFailed(what="does not answer")
        return self.said


def test_the_last_run_of_the_same_job_is_the_measure() -> None:
    run = record("train-20261122-050000-0000", seconds=9 * HOUR)
    queue = Answers(run | {"seconds": 1}, run, run | {"name": "other", "seconds": 1})
    assert "took 9 h" in deadline_warning(time.time() + 5 * HOUR, queue, "train")
    assert deadline_warning(time.time() + 5 * HOUR, queue, "new") == ""
    assert deadline_warning(0, Answers(), "train") == ""


def test_a_running_job_holds_a_stop_up_and_a_silent_master_does_not() -> None:
    running, ended = "train-20261122-050000-0000", "old-20261122-050000-0000"
    busy = Answers(record(running, state="running"), record(ended, state="failed"))
    with pytest.raises(PlanRefused, match=f"retina: 1 job.s. run or wait there: {running}. Wait, .*--force"):
        refuse_while_busy(busy)
    refuse_while_busy(Answers())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World()


def labels(world: World) -> set[str]:
    return {m.labels.get(names.DEADLINE_LABEL, "") for m in world.machines.values()}


def test_every_machine_is_labelled_with_the_one_deadline(world: World, tmp_path: Path) -> None:
    cluster(world, tmp_path, 2, ttl=Duration("8h")).ensure()
    deadline = cluster(world, tmp_path).view.deadline
    assert deadline == pytest.approx(time.time() + 8 * HOUR, abs=30)
    cluster(world, tmp_path, 3, ttl=Duration("8h")).ensure()
    assert cluster(world, tmp_path).view.deadline == deadline
    assert labels(world) == {str(int(deadline))}
    assert world.armed == {}, "first-boot data is enough for new machines"


def test_extending_reaches_state_labels_and_machines(world: World, tmp_path: Path) -> None:
    cluster(world, tmp_path, ttl=Duration("8h")).ensure()
    before = cluster(world, tmp_path).view.deadline
    assert cluster(world, tmp_path, ttl=Duration("8h")).extend("4h") == before + 4 * HOUR
    told = str(int(before + 4 * HOUR))
    assert cluster(world, tmp_path).view.deadline == before + 4 * HOUR
    assert labels(world) == {told}
    assert world.armed == dict.fromkeys(NAMES, told)


def test_an_extension_that_one_machine_has_not_heard_is_finished_not_repeated(
    world: World, tmp_path: Path
) -> None:
    cluster(world, tmp_path, ttl=Duration("8h")).ensure()
    before = cluster(world, tmp_path).view.deadline
    world.unreachable = {"retina-worker-1"}
    with pytest.raises(Unreachable, match="^retina-worker-1: the new deadline could not be told"):
        cluster(world, tmp_path, ttl=Duration("8h")).extend("4h")
    world.unreachable = set()
    assert cluster(world, tmp_path, ttl=Duration("8h")).extend("4h") == before + 4 * HOUR
    assert len(world.armed) == 3


def test_a_started_machine_is_labelled_before_and_told_after_its_boot(world: World, tmp_path: Path) -> None:
    cluster(world, tmp_path, ttl=Duration("8h")).ensure()
    cluster(world, tmp_path, ttl=Duration("8h")).stop(force=True)
    with pytest.raises(NotReady, match="retina: the cluster is stopped. Run start_cluster.yml"):
        cluster(world, tmp_path).view.check()
    with pytest.raises(NotReady, match="none of its machines runs"):
        cluster(world, tmp_path).extend("4h")
    Journal(cluster(world, tmp_path).state.folder).term(Term(time.time() - 60))  # meanwhile its time went by
    world.clock.restart()
    outcome = cluster(world, tmp_path, ttl=Duration("8h")).ensure()
    assert sorted(outcome.started) == sorted(NAMES)
    order = [step for step in world.clock.seen if step.startswith(("label", "start", "tell"))]
    assert (order[0], order[-1]) == ("label", "tell retina-worker-2")
    assert set(world.armed.values()) == labels(world) == {str(int(cluster(world, tmp_path).view.deadline))}
    assert cluster(world, tmp_path).view.deadline > time.time() + 7 * HOUR
    assert not cluster(world, tmp_path, ttl=Duration("8h")).ensure().changed


def test_stop_lets_go_of_the_store_and_again_does_nothing(world: World, tmp_path: Path) -> None:
    cluster(world, tmp_path).ensure()
    assert sorted(cluster(world, tmp_path).stop(force=True)) == sorted(NAMES)
    assert not any(world.users_of_store.values())
    assert cluster(world, tmp_path).stop() == []
    assert {m.state for m in world.machines.values()} == {NodeState.STOPPED}


def test_stopping_ends_what_is_spent(world: World, tmp_path: Path) -> None:
    world.hourly = 1.0
    cluster(world, tmp_path, budget=Budget(total=30.0)).ensure()
    term = cluster(world, tmp_path).state.journal.read().term
    assert (term.hourly, term.deadline) == (3.0, pytest.approx(time.time() + 10 * HOUR, abs=30))
    cluster(world, tmp_path, budget=Budget(total=30.0)).stop(force=True)
    assert cluster(world, tmp_path).state.journal.read().term.hourly == 0
