"""How a cluster ends and what still bills then, in words."""

from __future__ import annotations

import time

from provision.core.model import Outcome
from provision.core.spec import ClusterSpec
from provision.core.text import duration, moment
from provision.providers.facts import facts_in


def ending_words(spec: ClusterSpec, deadline: float, *, now: float | None = None) -> list[str]:
    """Return, one line each, when the cluster ends by itself and what still bills then.

    Args:
        spec: the config.
        deadline: seconds since the epoch; 0 for none, or when it has not been started.
        now: seconds since the epoch; default: now.
    """
    present = time.time() if now is None else now
    when = []
    if deadline:
        left = f"in {duration(deadline - present)}" if deadline > present else "its time is over"
        when.append(f"at {moment(deadline)} ({left})")
    elif spec.ttl:
        when.append(f"{spec.ttl} after its start")
    if not deadline and spec.budget.total:
        when.append(f"when ${spec.budget.total:g} are spent")
    if spec.autostop:
        when.append(f"after {spec.autostop} without a job, work in a notebook or an SSH session")
    there = facts_in(spec)
    if not when:
        paid = [facts.name for facts in there if facts.paid]
        return [f"Ends   never by itself: machines on {', '.join(paid)} bill until destroy"] if paid else []
    return [f"Ends   {', or '.join(when)}", *(f"       then {facts.ending(spec)}" for facts in there)]


def destroyed_words(spec: ClusterSpec, outcome: Outcome) -> str:
    """Return, in one line, what a destroy has deleted and what it left."""
    gone = ", ".join((*outcome.deleted, *outcome.removed))
    if not gone:
        return f"{spec.name}: no machines; nothing left to delete."
    stays = "" if spec.object_store.kind == "none" else " The object store stays."
    return f"{spec.name}: deleted {gone}.{stays}"


def stopped_words(spec: ClusterSpec) -> list[str]:
    """Return, one line per provider, what a stopped cluster costs."""
    return [facts.when_stopped for facts in facts_in(spec)]
