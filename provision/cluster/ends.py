"""How a cluster ends and what still bills then, in words."""

from __future__ import annotations

import time

from provision.core.model import ClusterSpec
from provision.core.text import duration, moment
from provision.planning.term import budget_total
from provision.providers.softlayer.last_calls import cancels

_ENDS = {
    "local": "machines of this computer power off; they stay, and cost nothing, until destroy or reap",
    "existing": "hosts of your own go on running",
    "ec2": "instances on ec2 terminate themselves, with their disks; nothing bills after that",
    "softlayer": "machines on softlayer power off but BILL ON until `./muster reap` cancels them",
}


_CANCELLED = (
    "machines on softlayer are cancelled by the master, with its own API key; nothing bills after that"
)


_STOPPED = {
    "local": "stopped machines of this computer cost nothing",
    "existing": "hosts of your own stay on; only the cluster's services on them are stopped",
    "ec2": "stopped instances on ec2 cost nothing, their disks BILL ON until destroy",
    "softlayer": "stopped machines on softlayer BILL ON as if they ran, until destroy",
}


def ending_words(spec: ClusterSpec, deadline: float, *, now: float | None = None) -> list[str]:
    """Return, one line each, when the cluster ends by itself and what still bills then.

    Args:
        spec: the config.
        deadline: seconds since the epoch; 0 for none, or when it has not been started.
        now: seconds since the epoch; default: now.
    """
    present = time.time() if now is None else now
    idle = str(spec.options.get("autostop", ""))
    when = []
    if deadline:
        left = f"in {duration(deadline - present)}" if deadline > present else "its time is over"
        when.append(f"at {moment(deadline)} ({left})")
    elif ttl := spec.options.get("ttl"):
        when.append(f"{ttl} after its start")
    if not deadline and budget_total(spec):
        when.append(f"when ${budget_total(spec):g} are spent")
    if idle:
        when.append(f"after {idle} without a job, a notebook kernel or an SSH session")
    names = sorted({group.provider for group in spec.groups if group.count != 0})
    if not when:
        paid = [name for name in names if name not in ("local", "existing")]
        return [f"Ends   never by itself: machines on {', '.join(paid)} bill until destroy"] if paid else []
    how = [_CANCELLED if name == "softlayer" and cancels(spec) else _ENDS[name] for name in names]
    return [f"Ends   {', or '.join(when)}", *(f"       then {line}" for line in how)]


def stopped_words(spec: ClusterSpec) -> list[str]:
    """Return, one line per provider, what a stopped cluster costs."""
    return [_STOPPED[name] for name in sorted({group.provider for group in spec.groups if group.count != 0})]
