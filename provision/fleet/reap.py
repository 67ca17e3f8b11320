"""Which clusters have outlived their time, or have no state any more; and their end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provision import providers
from provision.cluster import deletion
from provision.cluster.open import open_cluster
from provision.core.errors import MusterError
from provision.core.model import ClusterIdentity, Machine
from provision.core.names import DEADLINE_LABEL, OWNER_LABEL
from provision.core.paths import owner_mark, states_folder
from provision.core.spec import ClusterSpec
from provision.fleet import overview
from provision.fleet.overview import Found, Load, NotAsked
from provision.providers.base import Provider
from provision.providers.facts import facts_of, is_shared
from provision.providers.local.stores import store_close
from provision.state.folder import State

PAST_DEADLINE, ORPHANED = "past its deadline", "no cluster of this clone any more"


@dataclass(frozen=True)
class Expired:
    """Machines of one cluster at one provider that are to go.

    Fields: `provider` (has listed them), `why` (PAST_DEADLINE or ORPHANED), `deadline` (seconds since the
    epoch; 0 = none).
    """

    provider: Provider
    cluster: ClusterIdentity
    machines: tuple[Machine, ...]
    why: str
    deadline: float


@dataclass(frozen=True)
class Search:
    """What is to go, who was not asked, and at which of those a cluster may have been missed."""

    expired: tuple[Expired, ...]
    not_asked: tuple[NotAsked, ...]
    missed: tuple[NotAsked, ...]


def find(
    specs: Sequence[ClusterSpec],
    root: Path,
    *,
    now: float,
    names: Sequence[str] = (),
    load: Load = providers.load,
) -> Search:
    """Look at every account of the configs for what is to go.

    Args:
        specs: the configs; the first one is the one that was asked for.
        root: the project's folder.
        now: seconds since the epoch.
        names: only clusters of these names; () = all.
        load: returns a provider by name, for a config.

    Raises:
        StateError: a journal is damaged.
    """
    states = states_folder(root)
    shared = [name for name in providers.CLASSES if is_shared(name)]
    seen = overview.look(specs, states, load=load, leave_out=shared)  # those never end
    expired = choose(seen.clusters, mark=owner_mark(states), now=now)
    used = {spec.path for spec in specs if spec is specs[0] or State(states / spec.name).exists()}
    missed = [account for account in seen.not_asked if used & {spec.path for spec in account.specs}]
    return Search(
        tuple(each for each in expired if not names or each.cluster.name in names),
        seen.not_asked,
        tuple(missed),
    )


def choose(found: Iterable[Found], *, mark: str, now: float) -> list[Expired]:
    """Return what is to go, whole clusters only, in the order of their names.

    A cluster goes when all its machines at a provider are past their deadline. A cluster that is not known
    here may be somebody else's: it is an orphan only when its machines carry the mark of this clone's states.

    Args:
        found: all clusters.
        mark: `owner_mark` of the folder of states.
        now: seconds since the epoch.
    """
    expired = []
    for each in sorted(found, key=lambda one: (one.cluster, one.id, one.provider)):
        # Machines of another user of this computer are theirs to reap.
        machines = tuple(machine for machine in each.machines if machine.labels.get("mine") != "no")
        if not (each.cluster and each.id and machines and each.listed_by):
            continue
        ends = [_deadline(machine.labels) for machine in machines]
        if all(0 < end <= now for end in ends):
            why = PAST_DEADLINE
        elif not each.here and all(machine.labels.get(OWNER_LABEL) == mark for machine in machines):
            why = ORPHANED
        else:
            continue
        identity = ClusterIdentity(name=each.cluster, id=each.id)
        expired.append(Expired(each.listed_by, identity, machines, why, max(ends)))
    return expired


def delete_all(
    expired: Iterable[Expired], specs: Sequence[ClusterSpec], root: Path, say: Callable[[str], None]
) -> dict[str, MusterError]:
    """Delete all of it, each cluster as far as it goes; return what went wrong, by cluster id.

    Args:
        expired: what is to go.
        specs: the configs, to destroy the clusters whose state is here.
        root: the project's folder.
        say: told what is done.
    """
    failed: dict[str, MusterError] = {}
    for each in expired:
        try:
            spec = next((spec for spec in specs if spec.name == each.cluster.name), None)
            cluster = open_cluster(spec, root=root) if spec else None
            if cluster is not None and cluster.state.identity() == each.cluster:
                cluster.destroy(force=True)
            else:
                delete_machines(each)
                for store in {s.object_store.name for s in specs if s.object_store.here}:
                    store_close(store, each.cluster)
            say(f"deleted {', '.join(machine.name for machine in each.machines)} ({each.cluster.name})")
        except MusterError as error:
            say(f"{each.cluster.name}: {error}")
            failed[each.cluster.id] = error
    return failed


def delete_machines(expired: Expired) -> None:
    """Delete the machines, those of them that turn up late, too; confirm that they are gone.

    Raises:
        ProviderError: the same again goes on.
    """
    provider, machines = expired.provider, list(expired.machines)
    gone_s = facts_of(provider.name).deadlines.gone
    while machines:
        deletion.delete(provider, expired.cluster, machines, gone_s=gone_s, again="Run ./muster reap again")
        machines = deletion.left(provider, expired.cluster)


def _deadline(labels: Mapping[str, str]) -> float:
    try:
        return float(labels.get(DEADLINE_LABEL, 0))
    except ValueError:
        return 0.0
