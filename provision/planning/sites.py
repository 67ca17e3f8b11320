"""Which groups fit together, reach the data and have the memory for what runs on them. Pure."""

from __future__ import annotations

from provision.core.names import MASTER, WORKER
from provision.core.spec import ClusterSpec, NodeGroup
from provision.planning.nodes import services
from provision.planning.sizing import shortage
from provision.providers.facts import facts_of, site


def refusals(spec: ClusterSpec) -> tuple[str, ...]:
    """Return why the config's groups cannot become one cluster, one line each; () when they can."""
    master = spec.group(MASTER)
    found = [line for group in spec.groups if spec.size(group) for line in _of_group(spec, group, master)]
    found += [f"{key}: {line}" for key, line in too_small(spec).items()]
    return tuple(dict.fromkeys(found))


def too_small(spec: ClusterSpec) -> dict[str, str]:
    """Return why machines would have too little memory, by their group's key, as far as the config tells."""
    found = {}
    for group in filter(spec.size, spec.groups):
        memory_gb = facts_of(group.provider).memory_gb(group)
        if memory_gb is None:
            continue
        if line := shortage(group.name, group.cores, memory_gb, services(spec, group)):
            found[f"groups.{group.name}"] = line
    return found


def _of_group(spec: ClusterSpec, group: NodeGroup, master: NodeGroup) -> list[str]:
    store, facts, away = spec.object_store, facts_of(group.provider), site(group) != site(master)
    found = []
    if group.name == WORKER and away:
        found.append(
            f"groups.worker is at {site(group)} and the master at {site(master)}: their private networks do "
            "not meet, so HDFS and Spark cannot work across them. Put both at one provider (and region)"
        )
    if store.here and not facts.here:
        found.append(
            f"groups.{group.name} is at {group.provider}, from where the object store on this computer "
            "cannot be reached. Say object_store.kind: s3 or swift, a store that all groups reach"
        )
    if store.kind == "none" and away and group.name != WORKER:
        found.append(
            f"groups.{group.name} at {site(group)} reaches no HDFS and there is no object store: it would "
            "have no data. Say object_store.kind: s3 or swift"
        )
    if store.credentials == "role" and not facts.machine_roles:
        found.append(
            f"groups.{group.name} is at {group.provider}, whose machines have no role that opens the object "
            "store. Say object_store.credentials: keys"
        )
    if away and facts.private_address_only(group):
        found.append(
            f"groups.{group.name} at {site(group)} would be reached by its private address only, which "
            "perhaps not even this computer can. Say ssh_address: auto"
        )
    return found + facts.refusals(spec, group)
