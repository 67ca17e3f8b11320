"""Conducting a sweep: cluster after cluster, run after run, within budget and deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from provision.core.text import duration, money
from provision.studies.diary import FAILED, Diary, Page, Result
from provision.studies.order import operations, ordered, total
from provision.studies.sweep import ClusterShape, Combination, Layout, Sweep

OPERATION_S = 30.0
"""Seconds that making, deleting or reshaping one machine is expected to take."""
SETTLE_S = 120.0
"""Seconds that making a changed cluster ready, or staging another size, is expected to take."""


class Bench(Protocol):
    """The cluster that a sweep is conducted on."""

    def now(self) -> ClusterShape | None:
        """Return what there is; None = no cluster."""
        ...

    def make(self, shape: ClusterShape, size: int) -> None:
        """Bring the cluster into a shape, ready to train on a size. Raises MusterError."""
        ...

    def layout(self, one: Combination) -> Layout:
        """Return what Spark takes there: executors that there is room for (0 = for none), cores and heap."""
        ...

    def run(self, one: Combination, layout: Layout, begun: Callable[[str], None]) -> Result:
        """Run the job, telling its id before it is sent; a run that fails is a result. Raises MusterError."""
        ...

    def follow(self, run: str, layout: Layout) -> Result | None:
        """Go on with a run that was sent before; None = it never arrived. Raises MusterError."""
        ...

    def hourly(self, shape: ClusterShape) -> float | None:
        """Return what a cluster of this shape costs an hour; None = not known."""
        ...

    def spent(self) -> float:
        """Return the dollars that the cluster has cost so far."""
        ...

    def ends(self) -> float:
        """Return when the cluster's machines end, in seconds since the epoch; 0 = never by themselves."""
        ...


@dataclass(frozen=True)
class Outlook:
    """What is still to be done: clusters in their order, machine operations, seconds and dollars expected."""

    order: tuple[ClusterShape, ...]
    left: tuple[Combination, ...]
    machine_operations: int
    seconds: float
    dollars: float | None
    run_s: float

    def lines(self, sweep: Sweep) -> list[str]:
        """Return it in words."""
        costs = "what that costs is not known" if self.dollars is None else money(self.dollars)
        runs = f"{len(self.left)} runs of {sweep.job} on {len(self.order)} clusters"
        takes = f"{self.machine_operations} machine operations, about {duration(self.seconds)}, {costs}"
        assumed = f"{self.run_s / 60:.1f} min a run and {OPERATION_S:g} s an operation were assumed"
        on = [one.shape for one in self.left]
        said = f"{sweep.name}: {runs}; {takes} ({assumed})"
        return [said, *(f"  {shape}: {on.count(shape)} runs" for shape in self.order)]


def outlook(sweep: Sweep, page: Page, bench: Bench) -> Outlook:
    """Return what is left of a sweep, and what that is expected to take."""
    left = [one for shape in sweep.shapes for one in sweep.on(shape) if sweep.key(one) not in page.results]
    now = bench.now()
    order = ordered(now, dict.fromkeys(one.shape for one in left))
    seconds, dollars, before = 0.0, 0.0, now
    known = True
    for shape in order:
        runs = [one for one in left if one.shape == shape]
        took = _change_s(before, shape) + sum(_run_s(sweep, page) for _ in runs)
        took += SETTLE_S * (len({one.size for one in runs}) - 1)
        hourly = bench.hourly(shape)
        known = known and hourly is not None
        seconds, dollars, before = seconds + took, dollars + (hourly or 0.0) * took / 3600, shape
    costs = dollars if known else None
    return Outlook(tuple(order), tuple(left), total(now, order), seconds, costs, _run_s(sweep, page))


def conduct(sweep: Sweep, diary: Diary, bench: Bench, say: Callable[[str], object]) -> Page:
    """Do what is left, in order; return all that is known then. Again, it goes on where it was.

    It stops, and says so, before the run that budget or deadline would not last for.

    Raises:
        MusterError: a cluster could not be made, or the way to it is lost; the same call goes on.
    """
    page = _followed(sweep, diary, bench, say)
    done: list[Combination] = []
    plan = outlook(sweep, page, bench)
    ready: tuple[ClusterShape, int] | None = None
    for shape in plan.order:
        for one in (each for each in plan.left if each.shape == shape):
            if why := _over(sweep, diary.read(), bench, one):
                say(f"Stopped before {one}: {why}. Left: {_left(plan.left, done)}")
                return diary.read()
            if ready != (shape, one.size):
                bench.make(shape, one.size)
                ready = (shape, one.size)
            say(f"[{len(page.results) + len(done) + 1}/{len(page.results) + len(plan.left)}] {one}")
            result = _tried(sweep, diary, bench, one)
            diary.finish(sweep.key(one), result)
            done.append(one)
            say(f"  {result}")
    return diary.read()


def _followed(sweep: Sweep, diary: Diary, bench: Bench, say: Callable[[str], object]) -> Page:
    """Open the diary; runs that were sent before, and whose end nobody saw, are followed to it first."""
    page = diary.start(bench.spent())
    for one in (each for shape in sweep.shapes for each in sweep.on(shape)):
        sent = page.begun.get(sweep.key(one))
        if sent and (result := bench.follow(sent, bench.layout(one))):
            diary.finish(sweep.key(one), result)
            say(f"{one}, begun before: {result}")
    return diary.read()


def _tried(sweep: Sweep, diary: Diary, bench: Bench, one: Combination) -> Result:
    key, layout = sweep.key(one), bench.layout(one)
    if not layout.executors:
        reason = f"no machine has room for an executor of {layout.cores} cores and {layout.memory_mb} MiB"
        return Result("", FAILED, 0.0, reason, 0, layout.cores, layout.memory_mb)
    return bench.run(one, layout, lambda run: diary.begin(key, run))


def _over(sweep: Sweep, page: Page, bench: Bench, one: Combination) -> str:
    """Return why a run would pass the budget or a deadline; '' when it would not."""
    now = bench.now()
    takes = (_change_s(now, one.shape) if now != one.shape else 0.0) + _run_s(sweep, page)
    ends = [page.began + sweep.deadline.seconds] if sweep.deadline else []
    if bench.ends():
        ends.append(bench.ends())
    if ends and time.time() + takes > min(ends):
        return f"it is expected to take {duration(takes)}, and there are {duration(min(ends) - time.time())}"
    if sweep.budget is None:
        return ""
    hourly, spent = bench.hourly(one.shape), bench.spent() - page.spent_before
    if hourly is None:
        return f"what it costs is not known, and the budget is {money(sweep.budget)}"
    if spent + hourly * takes / 3600 > sweep.budget:
        return f"{money(spent) if spent else 'nothing'} of {money(sweep.budget)} is spent"
    return ""


def _change_s(now: ClusterShape | None, wanted: ClusterShape) -> float:
    return operations(now, wanted) * OPERATION_S + SETTLE_S


def _run_s(sweep: Sweep, page: Page) -> float:
    """Return what a run is expected to take: as long as those before it, else as the file says."""
    took = [result.seconds for result in page.results.values() if result.seconds]
    return sum(took) / len(took) if took else 60 * sweep.minutes


def _left(all_of_them: Sequence[Combination], done: Sequence[Combination]) -> str:
    left = [str(one) for one in all_of_them if one not in done]
    return f"{len(left)} ({' / '.join(left[:3])}{' / …' if len(left) > 3 else ''})"
