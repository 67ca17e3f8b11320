"""(spec, wished size, machines that exist) -> Plan. Pure; all counting of machines lives here, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from provision.core.model import Machine, NodeState, Plan
from provision.core.names import MASTER, NODE_GROUPS, machine_name, machine_number
from provision.core.spec import ClusterSpec, NodeGroup
from provision.core.text import names_of
from provision.planning.nodes import reshaped
from provision.providers.facts import facts_of

_ALIVE = frozenset({NodeState.PENDING, NodeState.RUNNING, NodeState.STOPPED})


def make_plan(spec: ClusterSpec, machines: Iterable[Machine], *, scale_in: bool = False) -> Plan:
    """Compare what is wished with what exists.

    Args:
        spec: the config, with the wished size.
        machines: what the providers list.
        scale_in: True when machines beyond the wish may be deleted (the workers with the highest numbers).

    Returns:
        a plan; when its `refuse` holds lines, none of it may be carried out.
    """
    exist = [machine for machine in machines if machine.state is not NodeState.GONE]
    alive = [machine for machine in exist if machine.state in _ALIVE]
    unfinished = [machine for machine in exist if machine.state is NodeState.DELETING]
    refuse = _doubled(alive)
    create: list[tuple[NodeGroup, tuple[str, ...]]] = []
    keep: list[Machine] = []
    extra: list[Machine] = []
    known = {group.name for group in spec.groups}
    for group in spec.groups:
        size = spec.size(group)
        have = sorted((m for m in alive if m.group == group.name), key=lambda m: machine_number(m.name))
        keep += have[:size]
        extra += have[size:]
        missing = _free_names(spec.name, group.name, size - len(have), have)
        if missing:
            create.append((group, missing))
    extra += [machine for machine in alive if machine.group not in known]
    if any(group.name == MASTER for group, _ in create) and keep:
        refuse.append(_lost_master(spec.name, keep))
    if extra and not scale_in:
        refuse.append(_too_many(extra, spec.nodes))
    leaving = [machine for machine in extra if machine.group in NODE_GROUPS]
    if leaving and any(machine.group == MASTER and machine.state is NodeState.STOPPED for machine in keep):
        refuse.append(_asleep(leaving))
    extra.sort(key=lambda machine: (machine.group, -machine_number(machine.name)))
    return Plan(
        create=tuple(create),
        reshape=_to_reshape(spec, keep),
        start=tuple(machine for machine in keep if machine.state is NodeState.STOPPED),
        delete=(*unfinished, *extra),
        keep=tuple(keep),
        refuse=tuple(refuse),
    )


def describe(plan: Plan) -> list[str]:
    """Return the plan in words, one line per thing to do; an empty list when there is nothing to do."""
    lines = [f"create {names_of(names)} ({_size_words(group)})" for group, names in plan.create]
    lines += [
        f"reshape {names_of([machine.name for machine in machines])} ({_size_words(group)}; off for a while)"
        for group, machines in plan.reshape
    ]
    if plan.start:
        lines.append(f"start {names_of([machine.name for machine in plan.start])}")
    if plan.delete:
        lines.append(f"delete {names_of([machine.name for machine in plan.delete])}")
    return lines


def _size_words(group: NodeGroup) -> str:
    return f"{facts_of(group.provider).size(group)}, {group.provider}"


def _to_reshape(
    spec: ClusterSpec, keep: Sequence[Machine]
) -> tuple[tuple[NodeGroup, tuple[Machine, ...]], ...]:
    """Return the machines that are not as was wished of them, where their provider can change that."""
    if not spec.scale:
        return ()
    found = []
    for group in spec.scaled_groups:
        mine = [m for m in keep if m.group == group.name and reshaped(m, group) != m]
        if mine and facts_of(group.provider).reshapes:
            found.append((group, tuple(mine)))
    return tuple(found)


def _free_names(cluster: str, group: str, wanted: int, have: Sequence[Machine]) -> tuple[str, ...]:
    """Return the `wanted` names with the lowest numbers that no machine of the group has."""
    taken = {machine.name for machine in have}
    names: list[str] = []
    number = 1
    while len(names) < wanted:
        name = machine_name(cluster, group, number)
        if name not in taken:
            names.append(name)
        number += 1
    return tuple(names)


def _doubled(machines: Sequence[Machine]) -> list[str]:
    by_name: dict[str, list[str]] = {}
    for machine in machines:
        by_name.setdefault(machine.name, []).append(machine.provider_id)
    return [
        f"{name} exists {len(ids)} times ({', '.join(sorted(ids))}). Delete all but one at the provider"
        for name, ids in sorted(by_name.items())
        if len(ids) > 1
    ]


def _lost_master(cluster: str, keep: Sequence[Machine]) -> str:
    return (
        f"{machine_name(cluster, MASTER, 0)} is gone, and with it the directory of the files on the "
        f"{len(keep)} other machine(s). Run destroy_cluster.yml, then start_cluster.yml"
    )


def _asleep(leaving: Sequence[Machine]) -> str:
    names = names_of([machine.name for machine in leaving])
    return (
        f"the cluster is stopped, and HDFS cannot copy what {names} holds to the others. "
        "Run start_cluster.yml main.yml in its old size first, then this again"
    )


def _too_many(extra: Sequence[Machine], wish: int) -> str:
    names = names_of(sorted((machine.name for machine in extra), key=machine_number, reverse=True))
    return f"{wish} node(s) wished: {names} would be deleted. Confirm it with -e SCALE_IN=true"
