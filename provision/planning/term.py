"""How long a cluster lives: its deadline from `ttl` and `budget.total`, and in words how it ends. Pure."""

from __future__ import annotations

from collections.abc import Callable

from provision.core.errors import NotReady, PlanRefused
from provision.core.model import NodeState, Plan, Price, Term
from provision.core.spec import ClusterSpec, Duration
from provision.core.text import duration, moment

LEAD_S = 300
"""Seconds before the deadline at which the master begins to bring home what there is."""
GRACE_S = 900
"""Seconds after a boot within which a machine that was stopped is told its new deadline."""


def hourly_price(spec: ClusterSpec, price: Callable[[str], Price | None]) -> float:
    """Return dollars an hour for the whole cluster; 0 without `budget.total`, which alone needs it.

    Args:
        spec: the config, with the wished size.
        price: returns the price of a machine of the group of this name, None when it is not known.
    """
    if not spec.budget.total:
        return 0.0
    prices = {group.name: price(group.name) for group in spec.groups}
    return sum(
        found.hourly * spec.size(group) for group in spec.groups if (found := prices[group.name]) is not None
    )


def settle_term(old: Term, spec: ClusterSpec, plan: Plan, *, hourly: float, now: float) -> Term | None:
    """Return the term that a plan's machines get, None when nothing changes.

    A cluster of which nothing runs yet gets a new deadline; one that runs keeps its own, also for machines
    that join it, unless it grows so that its budget ends earlier.

    Raises:
        PlanRefused: the budget is used up.
    """
    spent = old.cost(now)
    total = spec.budget.total
    if total and hourly and spent >= total and (plan.create or plan.start):
        raise PlanRefused(
            where=spec.name,
            what=f"its budget of ${total:g} is used up (${spent:.2f} spent)",
            remedy="Raise budget.total, or destroy it",
        )
    runs = any(machine.state is not NodeState.STOPPED for machine in plan.keep)
    if not runs or old.deadline <= now:
        deadline = _first(spec, spent, hourly, now)
    elif hourly != old.hourly:
        deadline = min(old.deadline, _paid_until(spec, spent, hourly, now) or old.deadline)
    else:
        deadline = old.deadline
    # A machine that was off may have missed an extension.
    unaware = (plan.keep and deadline != old.deadline) or (plan.start and deadline)
    if (deadline, hourly) == (old.deadline, old.hourly) and not unaware:
        return None
    return Term(deadline, spent, hourly, now, "changed" if unaware else old.pending)


def extended_term(old: Term, spec: ClusterSpec, duration: str, now: float) -> Term:
    """Return the term that is longer by `duration` (such as `4h`), counted from its deadline.

    Raises:
        NotReady: there is no deadline.
        PlanRefused: the budget does not last that long.
    """
    if not old.deadline:
        raise NotReady(
            where=spec.name,
            what="has no deadline that could be moved",
            remedy="`ttl` in the config file gives it one, then run start_cluster.yml",
        )
    deadline = max(old.deadline, now) + Duration(duration).seconds
    paid = _paid_until(spec, old.cost(now), old.hourly, now)
    if paid and deadline > paid:
        raise PlanRefused(
            where=spec.name,
            what=f"its budget of ${spec.budget.total:g} lasts until {moment(paid)}",
            remedy="Raise budget.total, or extend by less",
        )
    return Term(deadline, old.cost(now), old.hourly, now, pending=f"extend {duration}")


def may_outlive(deadline: float, *, now: float, last_took: float) -> str:
    """Return a warning when a job begun now may be cut short, '' otherwise.

    Args:
        deadline: when the machines end, 0 = never.
        now: seconds since the epoch.
        last_took: how many seconds the last run of this job took; 0 = unknown.
    """
    left = deadline - LEAD_S - now
    if not deadline or left > max(3600.0, last_took):
        return ""
    if left <= 0:
        return "its time is over: this job will not run. ./muster extend 4h gives it more"
    before = f"; the last run of this job took {duration(last_took)}" if last_took > left else ""
    return f"the machines end in {duration(deadline - now)}{before}. ./muster extend 4h gives them more time"


def _first(spec: ClusterSpec, spent: float, hourly: float, now: float) -> float:
    """Return the deadline of a cluster that begins now: the earlier of ttl and budget, 0 for none."""
    known = [now + spec.ttl.seconds] if spec.ttl else []
    paid = _paid_until(spec, spent, hourly, now)
    return float(int(min([*known, *([paid] if paid else [])], default=0)))


def _paid_until(spec: ClusterSpec, spent: float, hourly: float, now: float) -> float:
    """Return until when the budget lasts, in whole seconds; 0 when nothing is to be paid."""
    total = spec.budget.total
    return float(int(now + max(0.0, total - spent) / hourly * 3600)) if total and hourly else 0.0
