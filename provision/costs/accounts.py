"""What machines cost, from the records of a journal: who cost how much from when on, until when.

Records of older versions have no prices; what is missing is "not known", never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from provision.core.errors import MusterError
from provision.core.spec import NodeGroup
from provision.providers.base import Provider

HOURS_A_MONTH = 730
HOUR_S = 3600.0


@dataclass(frozen=True)
class Rate:
    """US dollars an hour for one machine; None = not known, 0 = nobody is paid. `source`: who says so."""

    hourly: float | None
    source: str


FREE = Rate(0.0, "nobody is paid")
UNKNOWN = Rate(None, "not known")


def hourly_rate(provider: Provider, group: NodeGroup, *, stopped: bool = False) -> Rate:
    """Return what a machine of the group costs; a provider that does not answer leaves it not known."""
    if not provider.paid:
        return FREE
    try:
        price = provider.price_stopped(group) if stopped else provider.price(group)
    except MusterError as error:
        return Rate(None, f"not known: {error}")
    return Rate(price.hourly, price.source) if price else UNKNOWN


@dataclass(frozen=True)
class Bill:
    """From `since` (seconds since the epoch) on, a machine costs `hourly` (None = not known)."""

    machine: str
    name: str
    group: str
    provider: str
    hourly: float | None
    source: str
    since: float
    stopped: bool = False

    def record(self) -> dict[str, Any]:
        """The bill as the journal keeps it."""
        return asdict(self)


@dataclass
class Account:
    """One machine's bills, oldest first. `ended`: when it was gone, None while it is there."""

    bills: list[Bill] = field(default_factory=list)
    ended: float | None = None

    @property
    def last(self) -> Bill:
        """What holds now, or held at the end."""
        return self.bills[-1]

    def tally(self, now: float) -> Tally:
        """Add up until `now`."""
        total = Tally(machines=1)
        ends = [bill.since for bill in self.bills[1:]] + [now if self.ended is None else self.ended]
        for bill, end in zip(self.bills, ends, strict=True):
            hours = max(0.0, end - bill.since) / HOUR_S
            total += Tally(
                hours=hours,
                dollars=hours * (bill.hourly or 0.0),
                unknown_hours=hours if bill.hourly is None else 0.0,
            )
        return total


@dataclass(frozen=True)
class Tally:
    """Machines, the hours that they existed, what that cost in US dollars, and hours of unknown price."""

    machines: int = 0
    hours: float = 0.0
    dollars: float = 0.0
    unknown_hours: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.machines + other.machines,
            self.hours + other.hours,
            self.dollars + other.dollars,
            self.unknown_hours + other.unknown_hours,
        )


def read_accounts(records: Iterable[Mapping[str, Any]]) -> dict[str, Account]:
    """Return the account of every machine that a journal has ever known, by provider id."""
    found: dict[str, Account] = {}
    opened: dict[str, Mapping[str, Any]] = {}
    for record in records:
        kind, at = record.get("kind"), float(record.get("at", 0.0))
        if kind == "open":
            opened[str(record["token"])] = record
        elif kind == "done":
            _add(found, record.get("bills") or _old(record, opened.get(str(record["token"])), at))
        elif kind == "bill":
            _add(found, record["bills"])
        elif kind == "ended":
            _end(found, set(record["machines"]), at)
        elif kind == "close" and (intent := opened.get(str(record["token"]))) and intent["verb"] == "delete":
            gone = set(intent["names"])
            _end(found, {machine for machine, account in found.items() if account.last.name in gone}, at)
    return found


def _add(found: dict[str, Account], bills: Iterable[Mapping[str, Any]]) -> None:
    for entry in bills:
        bill = Bill(**entry)
        account = found.setdefault(bill.machine, Account())
        account.ended = None
        same = account.bills and account.last.hourly == bill.hourly and account.last.stopped == bill.stopped
        if not same:
            account.bills.append(bill)


def _old(record: Mapping[str, Any], intent: Mapping[str, Any] | None, at: float) -> list[dict[str, Any]]:
    """Return the bills of a record of a version that wrote none."""
    provider = str(intent["provider"]) if intent else ""
    return [
        Bill(str(machine), str(name), "", provider, UNKNOWN.hourly, UNKNOWN.source, at).record()
        for name, machine in record["machines"].items()
    ]


def _end(found: Mapping[str, Account], machines: Iterable[str], at: float) -> None:
    for machine in machines:
        if machine in found and found[machine].ended is None:
            found[machine].ended = at
