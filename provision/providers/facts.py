"""How long what is waited for, in seconds: one table, overridable by `deadlines:` in the config file."""

from __future__ import annotations

from dataclasses import dataclass

from provision.core.model import ClusterSpec, NodeGroup


@dataclass(frozen=True)
class Deadlines:
    """Seconds. `boot`: from the order to SSH. `gone`: from a delete call to the machine's end.

    `settle`: after a create call without an answer, until its machines must be visible if there are any.
    """

    boot: float
    gone: float = 60
    settle: float = 0


DEADLINES: dict[str, Deadlines] = {
    "local": Deadlines(boot=60),
    "existing": Deadlines(boot=60),
    "ec2": Deadlines(boot=600, gone=300),
    "softlayer": Deadlines(boot=2700, gone=900, settle=180),
}


def deadlines(spec: ClusterSpec, provider: str) -> Deadlines:
    """Return the deadlines for machines of `provider`."""
    return Deadlines(**{**vars(DEADLINES[provider]), **spec.options.get("deadlines", {})})


def site(group: NodeGroup) -> str:
    """Return the name of the private network that the group's machines are in; those at one site share it."""
    where = group.options.get("region", "") if group.provider == "ec2" else ""
    return f"{group.provider}:{where}" if where else group.provider
