"""A plan together with what it costs, and whether that is within the budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from provision.core.model import Machine, Plan
from provision.core.spec import ClusterSpec
from provision.core.text import money, table
from provision.costs.accounts import FREE, HOURS_A_MONTH, Rate, hourly_rate
from provision.planning.plan import describe
from provision.providers.base import Provider
from provision.providers.facts import facts_of


@dataclass(frozen=True)
class Line:
    """One group: names of machines by what happens to them; `keep` includes those to be started."""

    group: str
    provider: str
    create: tuple[str, ...]
    keep: tuple[str, ...]
    start: tuple[str, ...]
    delete: tuple[str, ...]
    rate: Rate

    @property
    def count(self) -> int:
        """How many machines there are afterwards."""
        return len(self.create) + len(self.keep)

    @property
    def hourly(self) -> float | None:
        """What they cost an hour; None when it is not known."""
        if not self.count:
            return 0.0
        return None if self.rate.hourly is None else self.rate.hourly * self.count


@dataclass(frozen=True)
class Offer:
    """A plan and its price. A plan that is beyond the budget refuses to be carried out."""

    plan: Plan
    wish: int
    lines: tuple[Line, ...]
    max_hourly: float | None

    @property
    def hourly(self) -> float:
        """What is known of the price of the whole cluster, US dollars an hour."""
        return sum(line.hourly or 0.0 for line in self.lines)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Groups whose price is not known."""
        return tuple(line.group for line in self.lines if line.hourly is None)


def make_offer(spec: ClusterSpec, plan: Plan, provider: Callable[[str], Provider]) -> Offer:
    """Put prices to a plan; one that the budget forbids gets a reason to refuse it.

    A price that is not known is refused only where there is a budget.
    """
    known = {group.name for group in spec.groups}
    lines = [
        Line(
            group=group.name,
            provider=group.provider,
            create=next((names for created, names in plan.create if created.name == group.name), ()),
            keep=_names(plan.keep, group.name),
            start=_names(plan.start, group.name),
            delete=_names(plan.delete, group.name),
            rate=hourly_rate(provider(group.provider), group),
        )
        for group in spec.groups
    ]
    lost = sorted({machine.group for machine in plan.delete} - known)
    lines += [Line(name, "", (), (), (), _names(plan.delete, name), FREE) for name in lost]
    shown = tuple(line for line in lines if line.count or line.delete)
    offer = Offer(plan, spec.nodes, shown, spec.budget.max_hourly)
    refuse = _beyond(offer, total=spec.budget.total is not None)
    return replace(offer, plan=replace(plan, refuse=(*plan.refuse, refuse))) if refuse else offer


def lines(offer: Offer) -> list[str]:
    """Return an offer as lines of text."""
    rows = [
        (
            line.group,
            line.provider,
            len(line.create),
            len(line.keep) - len(line.start),
            len(line.start),
            len(line.delete),
            money(line.rate.hourly) if line.count else "",
            money(line.hourly) if line.count else "",
            money(_monthly(line.hourly)) if line.count else "",
        )
        for line in offer.lines
    ]
    known = None if offer.unknown and not offer.hourly else offer.hourly
    least = "at least " if offer.unknown and known else ""
    total = ("", "") if not offer.lines else (f"{least}{money(known)}", f"{least}{money(_monthly(known))}")
    header = ("GROUP", "PROVIDER", "CREATE", "KEEP", "START", "DELETE", "$/H EACH", "$/H", "$/MONTH")
    said = [f"would {line}" for line in describe(offer.plan)] or ["nothing to create, start or delete"]
    said += table(header, [*rows, ("total", "", "", "", "", "", "", *total)]).splitlines()
    paid = [line for line in offer.lines if line.count and line.rate.hourly != 0]
    if paid or offer.max_hourly is not None:
        said.append(
            (
                "what it costs is not known"
                if known is None
                else f"{least}{money(known)} an hour, {money(_monthly(known))} a month of "
                f"{HOURS_A_MONTH} h, before taxes and traffic"
            )
            + (f"; budget.max_hourly is {money(offer.max_hourly)}" if offer.max_hourly is not None else "")
        )
    said += [f"{line.group}: {line.rate.source}" for line in paid]
    return said


def as_json(cluster: str, offer: Offer) -> dict[str, Any]:
    """Return an offer for a program to read."""
    return {
        "cluster": cluster,
        "wish": offer.wish,
        "groups": [
            {
                "group": line.group,
                "provider": line.provider,
                "create": line.create,
                "keep": line.keep,
                "start": line.start,
                "delete": line.delete,
                "hourly_each": line.rate.hourly,
                "hourly": line.hourly,
                "monthly": _monthly(line.hourly),
                "price": line.rate.source,
            }
            for line in offer.lines
        ],
        "hourly": offer.hourly,
        "monthly": _monthly(offer.hourly),
        "unknown": offer.unknown,
        "max_hourly": offer.max_hourly,
        "changes": not offer.plan.empty,
        "refuse": offer.plan.refuse,
    }


def _names(machines: tuple[Machine, ...], group: str) -> tuple[str, ...]:
    return tuple(machine.name for machine in machines if machine.group == group)


def _monthly(hourly: float | None) -> float | None:
    return None if hourly is None else hourly * HOURS_A_MONTH


def _beyond(offer: Offer, *, total: bool) -> str:
    """Return why the budget forbids to order this; '' when it does not. `total`: there is a budget.total."""
    if not (offer.plan.create or offer.plan.start):
        return ""
    if offer.max_hourly is not None and offer.hourly > offer.max_hourly + 1e-9:
        return (
            f"the cluster would cost {money(offer.hourly)} an hour, more than budget.max_hourly "
            f"{money(offer.max_hourly)}. Take fewer or smaller machines, or raise it"
        )
    kept = "budget.max_hourly" if offer.max_hourly is not None else "budget.total" if total else ""
    if kept and offer.unknown:
        unknown = {line.provider for line in offer.lines if line.hourly is None}
        helps = "".join(f"{told}. " for name in sorted(unknown) if (told := facts_of(name).tells_prices))
        return (
            f"what a machine of {', '.join(offer.unknown)} costs is not known, so {kept} cannot be kept. "
            f"{helps}{'Or choose' if helps else 'Choose'} machines with a known price, or take the budget out"
        )
    return ""
