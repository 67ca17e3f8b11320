"""Keeping a cluster's accounts in its journal: they follow what the providers list."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from provision.core.model import Machine
from provision.core.spec import ClusterSpec, NodeGroup
from provision.costs.accounts import FREE, UNKNOWN, Bill, Rate, hourly_rate, read_accounts
from provision.providers.base import Provider
from provision.state.journal import Journal


@dataclass
class Books:
    """The accounts of one cluster. A provider that does not tell a price stops nothing: it is not known."""

    spec: ClusterSpec
    journal: Journal
    provider: Callable[[str], Provider]
    _rates: dict[tuple[str, bool], Rate] = field(default_factory=dict)

    def bills(self, group: NodeGroup, machines: Iterable[Machine]) -> list[dict[str, Any]]:
        """Return the first bills of new machines, as the journal keeps them."""
        return [self._bill(group.provider, group, machine, machine.created).record() for machine in machines]

    def labels(self, group: NodeGroup) -> dict[str, str]:
        """Return what new machines say about their price, for whoever finds them without this state."""
        running, stopped = self._rate(group.provider, group), self._rate(group.provider, group, stopped=True)
        found = {} if running.hourly is None else {"price": f"{running.hourly:g}"}
        if stopped.hourly is not None and stopped.hourly != running.hourly:
            found["price_stopped"] = f"{stopped.hourly:g}"
        return found

    def settle(self, machines: Sequence[Machine], at: Callable[[Machine], str]) -> None:
        """Make the accounts follow the machines that exist now.

        Args:
            machines: all machines of the cluster, as their providers list them.
            at: the provider of a machine.
        """
        accounts = read_accounts(self.journal.records())
        there = {machine.provider_id for machine in machines}
        bills: list[Bill] = []
        for machine in machines:
            account = accounts.get(machine.provider_id)
            stopped = machine.bills_as_stopped
            if account is None:
                since = machine.created
            elif account.ended is not None:  # it was not listed for a while, and is there all the same
                since = account.ended
            elif account.last.stopped != stopped:
                since = time.time()
            else:
                continue
            bills.append(self._bill(at(machine), self._group(machine), machine, since))
        if bills:
            self.journal.bill([bill.record() for bill in bills])
        gone = [key for key, account in accounts.items() if account.ended is None and key not in there]
        if gone:
            self.journal.ended(gone)

    def _bill(self, provider: str, group: NodeGroup | None, machine: Machine, since: float) -> Bill:
        stopped = machine.bills_as_stopped
        rate = self._rate(provider, group, stopped=stopped)
        return Bill(
            machine.provider_id,
            machine.name,
            machine.group,
            provider,
            rate.hourly,
            rate.source,
            round(since or time.time(), 3),
            stopped,
        )

    def _rate(self, provider: str, group: NodeGroup | None, *, stopped: bool = False) -> Rate:
        if group is None:
            return FREE if not self.provider(provider).paid else UNKNOWN
        if (group.name, stopped) not in self._rates:
            self._rates[group.name, stopped] = hourly_rate(self.provider(provider), group, stopped=stopped)
        return self._rates[group.name, stopped]

    def _group(self, machine: Machine) -> NodeGroup | None:
        return next((group for group in self.spec.groups if group.name == machine.group), None)
