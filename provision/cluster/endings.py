"""Stopping a cluster and moving its deadline; a crash at any moment is made good by the same command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from provision.cluster.orders import Orders
from provision.cluster.store import StoreLink
from provision.core.errors import NotReady, ProviderError, Unreachable
from provision.core.model import ClusterSpec, Machine, NodeState, Plan, Price, Term
from provision.core.names import DEADLINE_LABEL
from provision.core.wait import until
from provision.planning.nodes import node_of
from provision.planning.term import extended_term, hourly_price, settle_term
from provision.providers import SHARED
from provision.providers.facts import deadlines
from provision.ssh.files import close_shared_connections
from provision.ssh.pinning import Trust
from provision.state.folder import State
from provision.state.journal import new_token


@dataclass
class Endings:
    """One run's view of how a cluster ends. `now` is seconds since the epoch."""

    spec: ClusterSpec
    state: State
    orders: Orders
    trust: Trust
    now: float

    def settle(self, plan: Plan, wish: int) -> Term | None:
        """Return the term that a plan's machines get, None when nothing changes. Raises PlanRefused."""

        def price(name: str) -> Price | None:
            group = self.spec.group(name)
            return self.orders.provider(group.provider).price(group)

        hourly = hourly_price(self.spec, wish, price)
        return settle_term(self.state.journal.read().term, self.spec, plan, hourly=hourly, now=self.now)

    def begin(self, term: Term | None) -> None:
        """Record a new term and label the machines with it, before any of them is started.

        A stop that was interrupted is forgotten: the cluster is wished up again.
        """
        journal = self.state.journal
        if term is not None:
            journal.term(term)
        for token, intent in journal.read().intents.items():
            if intent.verb == "stop":
                journal.close(token)
        self.label()

    def label(self) -> None:
        """Write a deadline that has moved into the machines' labels. Raises ProviderError."""
        term = self.state.journal.read().term
        if term.pending:
            self.orders.label(self._ours(), {DEADLINE_LABEL: str(int(term.deadline))})

    def arm(self) -> None:
        """Tell running machines a deadline that has moved. Raises Unreachable; it is told the next time."""
        term = self.state.journal.read().term
        if not term.pending:
            return
        names = [machine.name for machine in self._ours() if machine.state is NodeState.RUNNING]
        self.orders.guard()
        failed = self.trust.tell(self.state, names, f"/usr/local/sbin/muster-arm {int(term.deadline)}")
        if failed:
            name, why = sorted(failed.items())[0]
            raise Unreachable(
                machines=sorted(failed),
                what=f"the new deadline could not be told; {name}: {why.strip() or 'no reason given'}",
                remedy="Run the same command again",
            )
        self.state.journal.armed()

    def extend(self, duration: str, say: Callable[[str], None]) -> float:
        """Move the deadline everywhere; return it. Raises MusterError; the same call again goes on."""
        if not any(machine.state is NodeState.RUNNING for machine in self.orders.machines()):
            raise NotReady(
                where=self.spec.name,
                what="none of its machines runs",
                remedy="start_cluster.yml gives it a new deadline",
            )
        term = self.state.journal.read().term
        if term.pending == f"extend {duration}":
            say("finishing the extension that was interrupted")
        else:
            term = extended_term(term, self.spec, duration, self.now)
            self.state.journal.term(term)
        self.label()
        self.arm()
        return term.deadline

    def stop(self, stores: StoreLink) -> list[str]:
        """Power all machines off and confirm it; return the names of those that ran. Raises ProviderError."""
        journal = self.state.journal
        view = journal.read()
        open_stops = [intent.token for intent in view.intents.values() if intent.verb == "stop"]
        token = open_stops[0] if open_stops else new_token()
        there = self.orders.machines()
        running = [m for m in there if m.state not in (NodeState.STOPPED, NodeState.DELETING)]
        if not running and not open_stops:
            return []
        if not open_stops:
            journal.open("stop", token=token)
        close_shared_connections(self.orders.identity.id)
        self.orders.stop(running)
        self._confirm_stopped()
        if view.term.hourly:
            term = view.term
            journal.term(replace(term, spent=term.cost(self.now), hourly=0.0))
        for name in sorted(view.stores):
            self.orders.guard()
            stores.close(name, self.orders.identity)
        journal.close(token)
        return [machine.name for machine in running]

    def _confirm_stopped(self) -> None:
        left: list[Machine] = []

        def stopped() -> bool:
            nonlocal left
            left = [machine for machine in self._ours() if machine.state is not NodeState.STOPPED]
            return not left

        longest = max(deadlines(self.spec, group.provider).gone for group in self.spec.groups)
        if not until(stopped, deadline_s=longest, interval_s=0.5):
            raise ProviderError(
                provider=node_of(self.spec, left[0]).group.provider,
                where=", ".join(machine.name for machine in left),
                what=f"not stopped {longest:g} s after the call",
                remedy="Run the same command again",
            )

    def _ours(self) -> list[Machine]:
        """Return the machines that Muster made: hosts of the user's own neither stop nor end."""
        return [
            machine
            for machine in self.orders.machines()
            if machine.state is not NodeState.DELETING
            and node_of(self.spec, machine).group.provider not in SHARED
        ]
