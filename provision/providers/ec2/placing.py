"""Carrying out one order at AWS: asked for, made, refused or unknown, then settled. Knows no cloud.

    look ──── listed ────────────────────────────────────────────> keep
      │
      v                 ┌─ machines are listed, or ended since ──> keep     the order is settled
     ask ── answer ─────┼─ made, but not listed in time ─────────> repeat   it stays open
      ^                 ├─ refused, and nothing turned up ───────> next     or exhausted: settled
      └───── next ──────┴─ failed, and nothing turned up ────────> fail     settled

An answer that says nothing (OutcomeUnknown) leaves the order open, too: the same call goes on with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from provision.core.errors import NoCapacity, NotReady, OutcomeUnknown, ProviderError
from provision.core.model import Machine
from provision.providers.ec2.facts import FACTS
from provision.providers.ec2.ledger import SETTLING_S, Alternative, Ledger, Order

VISIBLE_S = 120.0
"""Seconds until AWS lists machines that it has made."""
QUOTA = frozenset({"InstanceLimitExceeded", "MaxSpotInstanceCountExceeded", "VcpuLimitExceeded"})
"""Refusals that waiting does not change: the account's quota is used up."""
NEVER = frozenset({"Unsupported"})
"""Refusals that waiting does not change either: the zone has no such type."""


class Refused(Exception):
    """This alternative cannot be had. `quota`: for that reason; `later`: waiting may change it."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.quota = code in QUOTA
        self.later = code not in QUOTA | NEVER
        super().__init__(f"{code}: {message}")


class Answer(Enum):
    """How AWS answered when it was asked for an alternative."""

    MADE = auto()
    ENDED = auto()
    """Made by an attempt before, and deleted since."""
    REFUSED = auto()
    """This one cannot be had; another perhaps."""
    FAILED = auto()
    """No alternative would fare better."""


class Step(Enum):
    """What follows from an answer and from what is listed."""

    KEEP = auto()
    REPEAT = auto()
    NEXT = auto()
    FAIL = auto()


def next_step(answer: Answer, *, listed: bool) -> Step:
    """Return what follows. `listed`: all machines of the order are in AWS's list."""
    if listed or answer is Answer.ENDED:
        return Step.KEEP
    return {Answer.MADE: Step.REPEAT, Answer.REFUSED: Step.NEXT, Answer.FAILED: Step.FAIL}[answer]


def settling(begun: float) -> float:
    """Return for how many seconds machines of an order, begun then, may still turn up; 0 = never begun."""
    return max(0.0, begun + SETTLING_S - time.time()) if begun else 0.0


@dataclass
class Placing:
    """One order on its way.

    Args:
        token: the order's.
        order: what was noted of it, or a new one.
        ledger: notes every step before it is taken.
        where: names the machines.
        ask: asks AWS for the alternative begun and returns how many machines there are now; raises Refused,
            OutcomeUnknown, NotReady or ProviderError.
        listed: returns the order's machines once all are listed, [] when they are not within so many seconds;
            raises OutcomeUnknown.
    """

    token: str
    order: Order
    ledger: Ledger
    where: str
    ask: Callable[[Order], int]
    listed: Callable[[Order, float], list[Machine]]
    _refused: list[tuple[Alternative, Refused]] = field(default_factory=list)

    def place(self) -> list[Machine]:
        """Carry the order out and return its machines, none when they were deleted since.

        Raises:
            NoCapacity: every alternative was tried.
            OutcomeUnknown: the order must be repeated.
            NotReady, ProviderError: nothing was made.
        """
        before = self.order.begun  # of the alternative that an attempt before may have got
        if before and (there := self.listed(self.order, 0.0)):
            return self._settled(there)
        for index in range(self.order.index, len(self.order.alternatives)):
            # AWS may refuse a repetition before it looks at the token, and what the first has made show late.
            late_s = settling(before)
            before = 0.0
            self.order = self.ledger.begin(self.token, self.order, index)
            answer, error = self._asked()
            wait_s = {Answer.MADE: VISIBLE_S, Answer.ENDED: 0.0}.get(answer, late_s)
            there = self.listed(self.order, wait_s) if wait_s else []
            match next_step(answer, listed=bool(there)):
                case Step.KEEP:
                    return self._settled(there)
                case Step.REPEAT:
                    raise self._not_listed()
                case Step.FAIL if error:
                    self._settled([])
                    raise error
        self._settled([])
        raise exhausted(self.where, self._refused)

    def _asked(self) -> tuple[Answer, NotReady | ProviderError | None]:
        """Ask for the alternative begun. Raises OutcomeUnknown."""
        try:
            return (Answer.MADE if self.ask(self.order) else Answer.ENDED), None
        except Refused as refusal:
            self._refused.append((self.order.alternatives[self.order.index], refusal))
            return Answer.REFUSED, None
        except OutcomeUnknown:
            raise
        except (NotReady, ProviderError) as error:
            return Answer.FAILED, error

    def _settled(self, machines: list[Machine]) -> list[Machine]:
        """Note that nothing more of the order can turn up; return the machines."""
        self.ledger.settle(self.token, self.order)
        return machines

    def _not_listed(self) -> OutcomeUnknown:
        return OutcomeUnknown(
            provider=FACTS.name,
            where=self.where,
            what=f"AWS made these machines but does not list them after {VISIBLE_S:g} s",
            remedy="Run the same command again",
        )


def exhausted(where: str, refused: Sequence[tuple[Alternative, Refused]]) -> ProviderError:
    """Return the error for an order of which no alternative can be had."""
    tried = "; ".join(f"{alternative}: {refusal}" for alternative, refusal in refused)
    if any(refusal.quota for _, refusal in refused):
        return ProviderError(
            provider=FACTS.name,
            where=where,
            what=f"the account's quota is used up ({tried})",
            remedy="Ask AWS for more under Service Quotas, or name a smaller or another type",
        )
    if not any(refusal.later for _, refusal in refused):
        return ProviderError(
            provider=FACTS.name,
            where=where,
            what=f"AWS does not have these types there ({tried})",
            remedy="Name other instance types or subnets in other zones",
        )
    return NoCapacity(
        provider=FACTS.name,
        where=where,
        what=f"AWS has no room ({tried})",
        remedy="Name more instance types or subnets, or set wait_for_capacity",
    )
