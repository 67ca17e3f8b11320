"""Waiting until a provider has room: the same order again and again, until it succeeds or time is up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from provision.core.errors import MusterError, NoCapacity
from provision.core.model import ClusterSpec, Machine, NodeState
from provision.core.reporter import Reporter
from provision.core.schema import minutes
from provision.core.text import duration
from provision.core.wait import until
from provision.providers.base import Provider

FIRST_S, GROWTH, LONGEST_S = 15.0, 1.5, 300.0
"""Seconds between two attempts: the first pause, how it grows, and the longest."""

Order = Callable[[], list[Machine]]


def ask_on_terminal(question: str) -> bool:
    """Return the answer of whoever sits there; False when nobody does."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@dataclass
class Patience:
    """One run's waiting for room.

    Args:
        spec: the config.
        patience_s: seconds to wait for room; see `patience_of`.
        reporter: told what is waited for.
        guard: raises when this process must not go on.
        machines: returns the machines that are there.
        provider: returns a provider by name.
        ask: asks whoever sits at a terminal; False without one.
    """

    spec: ClusterSpec
    patience_s: float
    reporter: Reporter
    guard: Callable[[], None]
    machines: Callable[[], list[Machine]]
    provider: Callable[[str], Provider]
    ask: Callable[[str], bool] = ask_on_terminal
    first_s: float = FIRST_S
    _begin: float = field(default_factory=time.monotonic)

    def insist(self, order: Order, what: str) -> list[Machine]:
        """Carry out an order, waiting for room as long as the config allows.

        Args:
            order: makes machines; each call is an order of its own.
            what: names them.

        Raises:
            NoCapacity: there was none in time, and nobody wants to go on; machines that are there stay.
            MusterError: what else `order` raises.
        """
        refusal: list[NoCapacity] = []

        def attempt() -> tuple[list[Machine]] | None:
            self.guard()
            try:
                return (order(),)
            except NoCapacity as error:
                refusal[:] = [error]
                if self.patience_s:
                    self.reporter.say(
                        f"{what}: {error.what}; waiting for room since {self._elapsed()}{self._bill()}"
                    )
                return None

        self._begin = time.monotonic()
        while True:
            made = until(
                attempt,
                deadline_s=self.patience_s,
                interval_s=self.first_s,
                growth=GROWTH,
                longest_s=LONGEST_S,
            )
            if made is not None:
                return made[0]
            question = f"{what}: no room since {self._elapsed()}{self._bill()}. Wait as long again?"
            if not (self.patience_s and self.ask(question)):
                raise self._given_up(refusal[0])

    def _given_up(self, refusal: NoCapacity) -> NoCapacity:
        since = f" for {self._elapsed()}" if self.patience_s else ""
        return NoCapacity(
            provider=refusal.provider,
            where=refusal.where,
            what=f"{refusal.what.rstrip('.')}{since}{self._bill()}",
            remedy=f"{refusal.remedy}. Machines that are there stay; run the same command again to go on",
        )

    def _elapsed(self) -> str:
        return duration(time.monotonic() - self._begin)

    def _bill(self) -> str:
        """Return what the machines already there cost, in words; '' when nobody is paid."""
        running = [machine for machine in self.machines() if machine.state is NodeState.RUNNING]
        hourly = [price for price in map(self._price, running) if price]
        if not hourly:
            return ""
        spent = sum(hourly) * (time.monotonic() - self._begin) / 3600
        return (
            f"; {len(hourly)} machine(s) already up cost ${sum(hourly):.2f} an hour, ${spent:.2f} since then"
        )

    def _price(self, machine: Machine) -> float:
        for group in self.spec.groups:
            if group.name == machine.group:
                kind = machine.labels.get("instance_type")  # which of the group's list it has become
                own = replace(group, options={**group.options, "instance_type": [kind]}) if kind else group
                try:
                    found = self.provider(group.provider).price(own)
                except MusterError:  # a bill that cannot be told must not end the waiting
                    return 0.0
                return found.hourly if found else 0.0
        return 0.0


def patience_of(spec: ClusterSpec) -> float:
    """Return for how many seconds a config wants to wait for room."""
    return 60.0 * minutes(str(spec.options.get("wait_for_capacity", "")))
