"""Groups at another site than the master, which meet it on the internet alone: who sees whom there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provision.core.model import Machine
from provision.core.names import MASTER
from provision.core.networks import network
from provision.core.spec import ClusterSpec, NodeGroup
from provision.providers.facts import facts_of, site

INSTEAD = "./muster run and ./muster put work there"


def far_groups(spec: ClusterSpec) -> list[NodeGroup]:
    """Return the groups that do not share the master's private network."""
    here = site(spec.group(MASTER))
    return [group for group in spec.groups if site(group) != here]


def openings(spec: ClusterSpec, machines: Iterable[Machine]) -> tuple[str, ...]:
    """Return the networks that far machines let in for the master's sake; () = those of users will do."""
    facts = facts_of(spec.group(MASTER).provider)
    master = next((one for one in machines if one.group == MASTER), None)
    return (network(master.public),) if master and master.public and not facts.here else ()


def seen_as(spec: ClusterSpec, machines: Iterable[Machine], admitted: Sequence[str]) -> tuple[str, ...]:
    """Return the networks from which far machines see the master come; () = that is not known.

    One on this computer comes as its user does. As whom a host without a public address comes, its owner has
    to say with `allow_from`: it may be elsewhere than this computer.
    """
    facts = facts_of(spec.group(MASTER).provider)
    users = (*spec.allow_from, *(admitted if facts.here else ())) if facts.here or facts.shared else ()
    return openings(spec, machines) or tuple(dict.fromkeys(users))


def way(group: NodeGroup, machine: Machine) -> str:
    """Return the address by which the master reaches a far machine, '' = by none."""
    facts = facts_of(group.provider)
    return machine.public or (machine.ssh_address if facts.shared else "")


def closed(group: NodeGroup, machine: Machine, seen: Sequence[str]) -> str:
    """Return in one line why the master cannot put runs on a far machine, '' when it can."""
    if not way(group, machine):
        return f"{machine.name} has no public address by which the master could reach it; {INSTEAD}"
    if not seen:
        return (
            "the master has no public address that machines at another provider could let in; "
            f"give it one (docs/mixed.md), or {INSTEAD}"
        )
    return ""
