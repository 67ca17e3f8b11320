"""Powering a cluster off; a crash at any moment is made good by the same command."""

from __future__ import annotations

import time
from dataclasses import replace

from provision.cluster.orders import Orders
from provision.cluster.run import Run
from provision.core.errors import ProviderError
from provision.core.model import Machine, NodeState
from provision.core.wait import until
from provision.planning.nodes import node_of
from provision.providers.facts import deadlines
from provision.state.journal import new_token


def stop(run: Run, orders: Orders) -> list[str]:
    """Power all machines off and confirm it; return the names of those that ran. Raises ProviderError."""
    journal = run.state.journal
    view = journal.read()
    open_stops = [intent.token for intent in view.intents.values() if intent.verb == "stop"]
    token = open_stops[0] if open_stops else new_token()
    there = orders.machines()
    running = [m for m in there if m.state not in (NodeState.STOPPED, NodeState.DELETING)]
    if not running and not open_stops:
        return []
    if not open_stops:
        journal.open("stop", token=token)
    run.reach.close_shared(run.state)
    orders.stop(running)
    _confirm_stopped(run, orders)
    if view.term.hourly:
        journal.term(replace(view.term, spent=view.term.cost(time.time()), hourly=0.0))
    for name in sorted(view.stores):
        run.guard()
        run.stores.close(name, run.identity)
    journal.close(token)
    return [machine.name for machine in running]


def _confirm_stopped(run: Run, orders: Orders) -> None:
    left: list[Machine] = []

    def stopped() -> bool:
        nonlocal left
        left = [machine for machine in orders.own_machines() if machine.state is not NodeState.STOPPED]
        return not left

    longest = max(deadlines(run.spec, group.provider).gone for group in run.spec.groups)
    if not until(stopped, deadline_s=longest, interval_s=0.5):
        raise ProviderError(
            provider=node_of(run.spec, left[0]).group.provider,
            where=", ".join(machine.name for machine in left),
            what=f"not stopped {longest:g} s after the call",
            remedy="Run the same command again",
        )
