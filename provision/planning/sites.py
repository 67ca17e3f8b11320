"""Which groups fit together when machines come from several providers, and can reach the data. Pure."""

from __future__ import annotations

from provision.core.model import ClusterSpec, NodeGroup
from provision.core.names import MASTER, WORKER
from provision.providers.facts import site


def refusals(spec: ClusterSpec) -> tuple[str, ...]:
    """Return why the config's groups cannot become one cluster, one line each; () when they can."""
    master = spec.group(MASTER)
    found = [line for group in spec.groups if _used(spec, group) for line in _of_group(spec, group, master)]
    return tuple(dict.fromkeys(found))


def _used(spec: ClusterSpec, group: NodeGroup) -> bool:
    """Say whether the group has any machine."""
    return spec.nodes > 1 if group.count is None else group.count > 0


def _of_group(spec: ClusterSpec, group: NodeGroup, master: NodeGroup) -> list[str]:
    store, away = spec.object_store, site(group) != site(master)
    found = []
    if group.name == WORKER and away:
        found.append(
            f"groups.worker is at {site(group)} and the master at {site(master)}: their private networks do "
            "not meet, so HDFS and Spark cannot work across them. Put both at one provider (and region)"
        )
    if store.kind == "local" and group.provider != "local":
        found.append(
            f"groups.{group.name} is at {group.provider}, from where the object store on this computer "
            "cannot be reached. Say object_store.kind: s3 or swift, a store that all groups reach"
        )
    if store.kind == "none" and away and group.name != WORKER:
        found.append(
            f"groups.{group.name} at {site(group)} reaches no HDFS and there is no object store: it would "
            "have no data. Say object_store.kind: s3 or swift"
        )
    if store.credentials == "role" and group.provider != "ec2":
        found.append(
            f"groups.{group.name} is at {group.provider}, whose machines have no role that opens the object "
            "store. Say object_store.credentials: keys"
        )
    if away and group.options.get("ssh_address") == "private":
        found.append(
            f"groups.{group.name} at {site(group)} would be reached by its private address only, which "
            "perhaps not even this computer can. Say ssh_address: auto"
        )
    if group.provider == "existing":
        found += _hosts(spec, group)
    return found


def _hosts(spec: ClusterSpec, group: NodeGroup) -> list[str]:
    hosts = [host["address"] for host in group.options.get("hosts", ())]
    wanted = spec.nodes - 1 if group.count is None else group.count
    found = []
    if len(hosts) < wanted:
        found.append(
            f"groups.{group.name} has {len(hosts)} hosts and needs {wanted}. Name more under "
            f"groups.{group.name}.hosts, or wish for fewer nodes"
        )
    others = [other for other in spec.groups if other.name < group.name and other.provider == "existing"]
    twice = {host["address"] for other in others for host in other.options.get("hosts", ())} & set(hosts)
    if twice or len(set(hosts)) < len(hosts):
        double = sorted(twice or {host for host in hosts if hosts.count(host) > 1})
        found.append(f"{', '.join(double)} stands twice under hosts. Name each host once")
    return found
