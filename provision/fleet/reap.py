"""Which machines have outlived their time, or have no cluster any more; and their end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from provision.cluster import deletion
from provision.core.model import ClusterIdentity, Machine, NodeState
from provision.core.names import DEADLINE_LABEL, OWNER_LABEL
from provision.providers.base import Provider
from provision.providers.facts import DEADLINES

EXPIRED, ORPHANED = "past its deadline", "no cluster of this clone any more"


@dataclass(frozen=True)
class Doomed:
    """Machines of one cluster at one provider that are to go. `why`: EXPIRED or ORPHANED."""

    provider: str
    cluster: ClusterIdentity
    machines: tuple[Machine, ...]
    why: str
    deadline: float


def choose(
    found: Iterable[tuple[str, Machine]], *, known: Iterable[str], mark: str, now: float
) -> list[Doomed]:
    """Return what is to go, whole clusters only, in the order of their names.

    A cluster goes when all its machines at a provider are past their deadline. A cluster that is not known
    here may be somebody else's: it is an orphan only when its machines carry the mark of this clone's states.

    Args:
        found: (provider, machine) as `Provider.everything` lists them, with their labels.
        known: ids of the clusters that have a state folder here.
        mark: `project.owner_mark` of the folder of states.
        now: seconds since the epoch.
    """
    clusters: dict[tuple[str, str, str], list[Machine]] = {}
    for provider, machine in found:
        if machine.labels.get("mine") == "no":  # another user of this computer has to reap it
            continue
        name, identity = machine.labels.get("cluster", ""), machine.labels.get("cluster_id", "")
        if machine.state is not NodeState.GONE and name and identity:
            clusters.setdefault((name, identity, provider), []).append(machine)
    here = frozenset(known)
    doomed = []
    for (name, identity, provider), machines in sorted(clusters.items()):
        ends = [_deadline(machine.labels) for machine in machines]
        if all(0 < end <= now for end in ends):
            why = EXPIRED
        elif identity not in here and all(machine.labels.get(OWNER_LABEL) == mark for machine in machines):
            why = ORPHANED
        else:
            continue
        cluster = ClusterIdentity(name=name, id=identity)
        doomed.append(Doomed(provider, cluster, tuple(machines), why, max(ends)))
    return doomed


def delete(doomed: Doomed, provider: Provider, guard: Callable[[], None] = lambda: None) -> None:
    """Delete the machines, those of them that turn up late, too; confirm that they are gone.

    Raises:
        ProviderError: the same again goes on.
    """
    machines: Sequence[Machine] = doomed.machines
    gone_s = DEADLINES[doomed.provider].gone
    while machines:
        guard()
        deletion.delete(provider, doomed.cluster, machines, gone_s=gone_s, again="Run ./muster reap again")
        machines = deletion.left(provider, doomed.cluster)


def _deadline(labels: Mapping[str, str]) -> float:
    try:
        return float(labels.get(DEADLINE_LABEL, 0))
    except ValueError:
        return 0.0
