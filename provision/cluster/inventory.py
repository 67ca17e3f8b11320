"""Config + state -> Ansible's inventory: hosts, groups, variables. Pure; asks no provider."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from provision.core.features import ENGINES, FEATURES
from provision.core.model import ClusterIdentity, Machine
from provision.core.names import LOGIN_USER as USER
from provision.core.names import MASTER, NODE_GROUPS, STORE_HOST, STORE_PORT, machine_number
from provision.core.spec import ClusterSpec, NodeGroup
from provision.images.recipe import Recipe, node_recipe, store_recipe
from provision.planning import far
from provision.planning.nodes import machine_size, number_of, services
from provision.providers.facts import cancel_variables, facts_of, is_shared, site, to_cancel
from provision.providers.local.stores import CLIENTS
from provision.ssh import access, firewall, sharing
from provision.ssh.files import ssh_config
from provision.state.folder import SSH_CONFIG, Snapshot, State, Store

FUNCTIONAL = {
    "namenode": (MASTER,),
    "datanode": NODE_GROUPS,
    "spark_master": (MASTER,),
    "spark_worker": NODE_GROUPS,
    "history_server": (MASTER,),
}
"""Functional group -> config groups whose machines are in it. Roles use functional groups only."""
PLAIN = (
    "cluster", "data_folder", "deep_learning", ENGINES, "job_taker", "object_store", "uninstalled", *FEATURES,
)  # fmt: skip
"""Functional groups that depend on more than the config group's name."""


@dataclass
class Inventory:
    """What the plugin hands to Ansible."""

    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a cluster's things lie on this computer: state folder, sockets of shared connections, project."""

    state: Path
    sockets: Path
    project: str


def build(spec: ClusterSpec, state: State, *, root: str) -> Inventory:
    """Return the inventory of the machines that were last known. Raises StateError, NotReady."""
    view = state.journal.read()
    snapshot = state.load() if view.cluster_id else Snapshot()
    identity = ClusterIdentity(name=spec.name, id=view.cluster_id)
    place = Place(state.folder, sharing.folder(), root)
    if snapshot.machines:
        ssh_config(state)
    inventory = compose(spec.wished(view.wish, view.scale), identity, snapshot, place, state.admitted())
    inventory.variables["cluster_host_keys"] = {
        machine.name: view.pins.get(machine.provider_id, "") for machine in snapshot.machines
    }
    inventory.variables["cluster_image_size"] = state.image_size()
    inventory.variables["cluster_login_keys"] = list(access.login_keys(state, spec.access))
    return inventory


def compose(
    spec: ClusterSpec,
    identity: ClusterIdentity,
    snapshot: Snapshot,
    place: Place,
    admitted: Sequence[str] = (),
) -> Inventory:
    """Return the inventory of the machines in a snapshot.

    Args:
        spec: the config, in the wished size.
        identity: the cluster's.
        snapshot: what was known of its machines.
        place: where its things lie here.
        admitted: networks from which SSH may reach them, besides the config's.
    """
    machines = _in_order(spec, snapshot)
    seen = far.seen_as(spec, machines, admitted)
    hosts = _hosts(spec, machines, place, admitted, seen)
    if snapshot.store is not None:
        hosts[STORE_HOST] = _store_host(snapshot.store, place)
    return Inventory(
        hosts=hosts,
        groups=_groups(spec, machines, hosts),
        variables={
            "cluster_name": spec.name,
            "cluster_id": identity.id,
            "cluster_wish": spec.nodes,
            "cluster_state_dir": str(place.state),
            "cluster_project_dir": place.project,
            "cluster_seen_as": list(seen),
            "cluster_nodes": [_node(hosts[machine.name]) for machine in machines],
            "cluster_object_store": _object_store(spec, snapshot),
            "cluster_dataset": asdict(spec.dataset),
            "cluster_to_cancel": to_cancel(spec, snapshot.machines, MASTER),
            "cluster_cancel_variables": cancel_variables(spec),
            "cluster_autostop_minutes": spec.autostop.minutes,
            "cluster_features": list(spec.features),
        },
    )


def _groups(
    spec: ClusterSpec, machines: Sequence[Machine], hosts: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Return the names of the hosts of each group, the config's groups and the functional ones."""
    by_name = {group.name: group for group in spec.groups}
    groups: dict[str, list[str]] = {name: [] for name in (*by_name, *FUNCTIONAL, *PLAIN)}
    memberships = {name: _memberships(group, services(spec, group)) for name, group in by_name.items()}
    for machine in machines:
        for name in memberships[machine.group]:
            groups[name].append(machine.name)
    groups["object_store"] = [STORE_HOST] if STORE_HOST in hosts else []
    groups["uninstalled"] = [
        name for name, known in hosts.items() if known["node_image"] != known["node_recipe_key"]
    ]
    return groups


def _in_order(spec: ClusterSpec, snapshot: Snapshot) -> list[Machine]:
    """Return the machines of known groups: groups in file order, then by number."""
    order = {group.name: index for index, group in enumerate(spec.groups)}
    known = [machine for machine in snapshot.machines if machine.group in order and machine.address]
    return sorted(known, key=lambda machine: (order[machine.group], machine_number(machine.name)))


def _memberships(group: NodeGroup, services: Sequence[str]) -> list[str]:
    names = [group.name, "cluster"]
    names += [name for name, members in FUNCTIONAL.items() if group.name in members]
    if group.name not in FUNCTIONAL["datanode"]:  # it has no HDFS, perhaps not even a way to it
        names.append("data_folder")
    names += services
    if group.name != MASTER:
        names.append("job_taker")
    return [*names, "deep_learning"] if group.deep_learning else names


def _hosts(
    spec: ClusterSpec,
    machines: Sequence[Machine],
    place: Place,
    admitted: Sequence[str],
    seen: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Return the variables of each machine, by its name."""
    by_name = {group.name: group for group in spec.groups}
    away = {group.name for group in far.far_groups(spec)}
    more = far.openings(spec, machines)
    allow = {
        name: _rule(facts_of(group.provider).ssh_from(spec, admitted), more if name in away else ())
        for name, group in by_name.items()
    }
    features = {name: list(services(spec, group)) for name, group in by_name.items()}
    recipes = {name: node_recipe(spec, group) for name, group in by_name.items()}  # reads the roles' files
    return {
        machine.name: _connection(machine.name, machine.ssh_address, place)
        | _facts(machine, by_name[machine.group])
        | {"node_allow": allow[machine.group], "node_services": features[machine.group]}
        | _reach(machine, by_name[machine.group], seen, away=machine.group in away)
        | _recipe(recipes[machine.group], machine.image)
        for machine in machines
    }


def _rule(users: Sequence[str], master: Sequence[str]) -> str:
    """Return the rule for SSH; without networks of users everybody is let in, the master too."""
    return firewall.rule([*users, *master] if users else ())


def _reach(machine: Machine, group: NodeGroup, seen: Sequence[str], *, away: bool) -> dict[str, str]:
    """Return how the master reaches a machine, and why it cannot ('' = it can)."""
    return {
        "node_way": far.way(group, machine) if away else machine.address,
        "node_closed": far.closed(group, machine, seen) if away else "",
    }


def _store_host(store: Store, place: Place) -> dict[str, Any]:
    """Return the variables of the object store's machine."""
    return {
        **_connection(STORE_HOST, store.address, place),
        "node_name": STORE_HOST,
        "node_group": "object_store",
        "node_address": store.address,
        "node_allow": firewall.rule(()),
        "node_cores": 1,
        "node_memory_gb": 1.0,
        "node_data_device": "",
        "node_data_disk_gb": 0,
        **_recipe(store_recipe(), store.image),
    }


def _connection(name: str, address: str, place: Place) -> dict[str, Any]:
    # Without a ControlPath here Ansible would add one of its own, shared by all clusters.
    ssh_args = ["-F", str(place.state / SSH_CONFIG), *sharing.options(place.sockets, place.state, name)]
    return {
        "ansible_host": address,
        "ansible_user": USER,
        "ansible_ssh_common_args": shlex.join(ssh_args),
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def _facts(machine: Machine, group: NodeGroup) -> dict[str, Any]:
    size = machine_size(machine, group)
    return {
        "node_name": machine.name,
        "node_group": group.name,
        "node_site": site(group),
        "node_shared": is_shared(group.provider),
        "node_sshd_rules": access.sshd_rules(shared=is_shared(group.provider)),
        "node_address": machine.address,
        "node_cores": size["cores"],
        "node_memory_gb": size["memory_gb"],
        "node_gpus": int(machine.labels.get("gpus", 0)),
        "node_hourly": number_of(machine.labels.get("price", "")),
        "node_data_device": machine.data_device,
        "node_data_disk_gb": size["data_disk_gb"],
    }


def _recipe(recipe: Recipe, image: str) -> dict[str, Any]:
    """Return what is to be installed, and the key of what was when the machine was booted."""
    return {"node_image": image, "node_recipe": recipe.as_variable(), "node_recipe_key": recipe.key}


def _node(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every node knows of a machine."""
    known = "name address group site way closed cores memory_gb gpus hourly services"
    return {key: host[f"node_{key}"] for key in known.split()}


def _object_store(spec: ClusterSpec, snapshot: Snapshot) -> dict[str, Any]:
    """Return the config's block with what nodes need: `url`, and where a machine of ours has its clients."""
    store = spec.object_store
    known = {**asdict(store), "url": store.url, "virtual_host": store.virtual_host}
    if snapshot.store is None:
        return known
    gateway = snapshot.store.address.rpartition(".")[0] + ".1"
    return {
        **known,
        "url": f"http://{STORE_HOST}:{STORE_PORT}",
        "clients": CLIENTS,
        "gateway": gateway,
    }
