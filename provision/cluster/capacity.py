"""Waiting until a provider has room: the same order again and again, until it succeeds or time is up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

from provision.cluster.run import Run
from provision.core.errors import MusterError, NoCapacity
from provision.core.model import Machine, NodeState
from provision.core.spec import ClusterSpec
from provision.core.text import duration
from provision.core.wait import until
from provision.providers.facts import facts_of

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


def capacity_wait(spec: ClusterSpec) -> float:
    """Return for how many seconds a config wants to wait for room."""
    return float(spec.wait_for_capacity.seconds)


def retry_until_capacity(
    run: Run,
    order: Order,
    what: str,
    machines: Callable[[], list[Machine]],
    *,
    ask: Callable[[str], bool] = ask_on_terminal,
    first_s: float = FIRST_S,
) -> list[Machine]:
    """Carry out an order, waiting for room as long as the config allows.

    Args:
        run: this verb's.
        order: makes machines; each call is an order of its own.
        what: names them.
        machines: returns the machines that are there already.
        ask: asks whoever sits at a terminal whether to go on; False without one.
        first_s: seconds until the second attempt.

    Raises:
        NoCapacity: there was none in time, and nobody wants to go on; machines that are there stay.
        MusterError: what else `order` raises.
    """
    wait_s = capacity_wait(run.spec)
    refusal: list[NoCapacity] = []
    begin = time.monotonic()

    def bill() -> str:
        return _bill(run, machines(), time.monotonic() - begin)

    def attempt() -> tuple[list[Machine]] | None:
        run.guard()
        try:
            return (order(),)
        except NoCapacity as error:
            refusal[:] = [error]
            if wait_s:
                run.reporter.say(f"{what}: {error.what}; waiting for room since {_since(begin)}{bill()}")
            return None

    while True:
        made = until(attempt, deadline_s=wait_s, interval_s=first_s, growth=GROWTH, longest_s=LONGEST_S)
        if made is not None:
            return made[0]
        question = f"{what}: no room since {_since(begin)}{bill()}. Wait as long again?"
        if not (wait_s and ask(question)):
            waited = f" for {_since(begin)}" if wait_s else ""
            raise _given_up(refusal[0], f"{waited}{bill()}")


def _given_up(refusal: NoCapacity, waited: str) -> NoCapacity:
    return NoCapacity(
        provider=refusal.provider,
        where=refusal.where,
        what=f"{refusal.what.rstrip('.')}{waited}",
        remedy=f"{refusal.remedy}. Machines that are there stay; run the same command again to go on",
    )


def _since(begin: float) -> str:
    return duration(time.monotonic() - begin)


def _bill(run: Run, machines: Iterable[Machine], seconds: float) -> str:
    """Return what the machines already there cost, in words; '' when nobody is paid."""
    running = [machine for machine in machines if machine.state is NodeState.RUNNING]
    hourly = [price for machine in running if (price := _price(run, machine))]
    if not hourly:
        return ""
    spent = sum(hourly) * seconds / 3600
    return f"; {len(hourly)} machine(s) already up cost ${sum(hourly):.2f} an hour, ${spent:.2f} since then"


def _price(run: Run, machine: Machine) -> float:
    for group in run.spec.groups:
        if group.name == machine.group:
            try:
                made = facts_of(group.provider).as_made(group, machine)
                found = run.provider(group.provider).price(made)
            except MusterError:  # a bill that cannot be told must not end the waiting
                return 0.0
            return found.hourly if found else 0.0
    return 0.0
