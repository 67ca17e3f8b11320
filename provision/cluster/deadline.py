"""A cluster's deadline: settled from a plan, recorded, told to providers and machines, moved.

A crash at any moment is made good by the same command: a term whose machines must still be told says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from provision.cluster.orders import Orders
from provision.cluster.run import Run
from provision.core.errors import NotReady
from provision.core.model import Machine, NodeState, Plan, Price, Term
from provision.core.names import DEADLINE_LABEL
from provision.core.spec import ClusterSpec
from provision.costs.accounts import hourly_rate
from provision.planning.term import extended_term, hourly_price, settle_term


def settle(run: Run, spec: ClusterSpec, plan: Plan) -> Term | None:
    """Return the term that a plan's machines get, None when nothing changes. Raises PlanRefused.

    `spec` has the wished size.
    """

    def price(name: str) -> Price | None:
        group = spec.group(name)
        rate = hourly_rate(run.provider(group.provider), group)
        return None if rate.hourly is None else Price(rate.hourly, rate.source)

    hourly = hourly_price(spec, price)
    return settle_term(run.state.journal.read().term, spec, plan, hourly=hourly, now=time.time())


def begin(run: Run, orders: Orders, term: Term | None, machines: Iterable[Machine]) -> None:
    """Record a new term and label the machines with it, before any of them is started.

    `machines` are those that stay; what becomes of them when they power themselves off follows the term.

    A stop that was interrupted is forgotten: the cluster is wished up again. Raises ProviderError.
    """
    journal = run.state.journal
    if term is not None:
        journal.term(term)
    for token, intent in journal.read().intents.items():
        if intent.verb == "stop":
            journal.close(token)
    orders.at_poweroff(machines, delete=ends(run))
    label(run, orders)


def ends(run: Run) -> bool:
    """Return whether the machines power themselves off one day, and should be gone then."""
    return run.spec.ends_by_itself or bool(run.state.journal.read().term.deadline)


def label(run: Run, orders: Orders) -> None:
    """Write a deadline that has moved into the machines' labels. Raises ProviderError."""
    term = run.state.journal.read().term
    if term.pending:
        orders.label(orders.own_machines(), {DEADLINE_LABEL: str(int(term.deadline))})


def arm(run: Run, orders: Orders) -> None:
    """Tell running machines a deadline that has moved. Raises Unreachable; the next run tells them then."""
    term = run.state.journal.read().term
    if not term.pending:
        return
    running = [machine for machine in orders.own_machines() if machine.state is NodeState.RUNNING]
    run.guard()
    run.tell(
        [machine.name for machine in running],
        f"/usr/local/sbin/muster-arm {int(term.deadline)}",
        what="the new deadline could not be told",
        remedy="Run the same command again",
    )
    run.state.journal.armed()


def extend(run: Run, orders: Orders, duration: str) -> float:
    """Move the deadline everywhere; return it. Raises MusterError; the same call again goes on."""
    if not any(machine.state is NodeState.RUNNING for machine in orders.machines()):
        raise NotReady(
            where=run.spec.name,
            what="none of its machines runs",
            remedy="start_cluster.yml gives it a new deadline",
        )
    term = run.state.journal.read().term
    if term.pending == f"extend {duration}":
        run.reporter.say("finishing the extension that was interrupted")
    else:
        term = extended_term(term, run.spec, duration, time.time())
        run.state.journal.term(term)
    orders.at_poweroff(orders.own_machines(), delete=ends(run))
    label(run, orders)
    arm(run, orders)
    return term.deadline
