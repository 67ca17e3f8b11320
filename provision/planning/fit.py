"""Whether machines that exist are still what the config asks for. Pure; a machine is never changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from provision.core.model import Machine
from provision.core.spec import ClusterSpec, NodeGroup
from provision.core.text import names_of


def refusals(
    spec: ClusterSpec,
    machines: Iterable[Machine],
    at: Callable[[Machine], str],
    unlike: Callable[[NodeGroup, Machine], list[str]],
) -> tuple[str, ...]:
    """Return why machines that would be kept do not fit the config any more, one line per group and reason.

    Args:
        spec: the config.
        machines: those that would be kept; each of a group of the config.
        at: the provider that a machine is at.
        unlike: what that provider sees of it that is not as its group says.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for machine in machines:
        group, home = spec.group(machine.group), at(machine)
        moved = [f"at {home}, not {group.provider}"] if home != group.provider else unlike(group, machine)
        if moved:
            found.setdefault((group.name, "; ".join(moved)), []).append(machine.name)
    return tuple(
        f"{names_of(names)}: made before groups.{group} was changed ({what}). Machines are "
        "never altered: put the config back, or run destroy_cluster.yml and then start_cluster.yml"
        for (group, what), names in found.items()
    )
