"""Config + state -> Ansible's inventory: hosts, groups, variables. Pure; asks no provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from provision.core.model import ClusterIdentity, ClusterSpec, Machine, NodeGroup
from provision.core.names import LOGIN_USER as USER
from provision.core.names import MASTER, STORE_HOST, STORE_PORT, WORKER, machine_number
from provision.core.paths import control_path
from provision.core.schema import minutes
from provision.images.recipe import node_recipe, store_recipe
from provision.planning.nodes import machine_size
from provision.providers import SHARED
from provision.providers.facts import site
from provision.providers.local.stores import CLIENTS
from provision.providers.softlayer.last_calls import to_cancel
from provision.ssh import access
from provision.state.folder import Snapshot, State

FUNCTIONAL = {
    "namenode": (MASTER,),
    "datanode": (MASTER, WORKER),
    "spark_master": (MASTER,),
    "spark_worker": (MASTER, WORKER),
    "history_server": (MASTER,),
}
"""Functional group -> config groups whose machines are in it. Roles use functional groups only."""
PLAIN = ("cluster", "data_folder", "deep_learning", "object_store", "uninstalled")
"""Functional groups that depend on more than the config group's name."""


@dataclass
class Inventory:
    """What the plugin hands to Ansible."""

    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)


def build(spec: ClusterSpec, state: State, *, root: str) -> Inventory:
    """Return the inventory of the machines that were last known. Raises StateError."""
    view = state.journal.read()
    snapshot = state.load() if view.cluster_id else Snapshot()
    wish = spec.nodes if spec.nodes_given or view.wish is None else view.wish
    return compose(
        spec,
        ClusterIdentity(name=spec.name, id=view.cluster_id),
        snapshot,
        wish=wish,
        state_dir=str(state.folder),
        ssh_config=str(state.ssh_config),
        root=root,
        image_size=state.image_size(),
        login_keys=access.login_keys(state, spec.access),
    )


def compose(
    spec: ClusterSpec,
    identity: ClusterIdentity,
    snapshot: Snapshot,
    *,
    wish: int,
    state_dir: str,
    ssh_config: str,
    root: str,
    image_size: int,
    login_keys: Sequence[str] = (),
) -> Inventory:
    """Return the inventory; see `build`."""
    inventory = Inventory()
    by_name = {group.name: group for group in spec.groups}
    groups: dict[str, list[str]] = {name: [] for name in by_name}
    groups |= {name: [] for name in (*FUNCTIONAL, *PLAIN)}
    # Ansible adds a ControlPath of its own, shared by all clusters, unless it sees one here.
    ssh_args = f"-F '{ssh_config}' -o ControlPath={control_path(identity.id)}"
    nodes: list[dict[str, Any]] = []
    recipes = {name: node_recipe(spec, group) for name, group in by_name.items()}  # reads the roles' files
    for machine in _in_order(spec, snapshot):
        group = by_name[machine.group]
        size = machine_size(machine, group)
        inventory.hosts[machine.name] = _host(machine, group, size, ssh_args)
        for name in _memberships(group):
            groups[name].append(machine.name)
        recipe = recipes[group.name]
        inventory.hosts[machine.name] |= {
            "node_recipe": recipe.as_variable(),
            "node_recipe_key": recipe.key,
        }
        if machine.image != recipe.key:
            groups["uninstalled"].append(machine.name)
        nodes.append(
            {
                "name": machine.name,
                "address": machine.address,
                "group": group.name,
                "site": site(group),
                "cores": size["cores"],
                "memory_gb": size["memory_gb"],
            }
        )
    if snapshot.store is not None:
        groups["object_store"].append(STORE_HOST)
        recipe = store_recipe()
        if snapshot.store.image != recipe.key:
            groups["uninstalled"].append(STORE_HOST)
        inventory.hosts[STORE_HOST] = {
            "ansible_host": snapshot.store.address,
            "ansible_user": USER,
            "ansible_ssh_common_args": ssh_args,
            "ansible_python_interpreter": "/usr/bin/python3",
            "node_name": STORE_HOST,
            "node_group": "object_store",
            "node_address": snapshot.store.address,
            "node_cores": 1,
            "node_memory_gb": 1.0,
            "node_data_device": "",
            "node_data_disk_gb": 0,
            "node_image": snapshot.store.image,
            "node_recipe": recipe.as_variable(),
            "node_recipe_key": recipe.key,
        }
    inventory.groups = groups
    inventory.variables = {
        "cluster_name": spec.name,
        "cluster_id": identity.id,
        "cluster_wish": wish,
        "cluster_image_size": image_size,
        "cluster_state_dir": state_dir,
        "cluster_project_dir": root,
        "cluster_nodes": nodes,
        "cluster_object_store": _object_store(spec, snapshot),
        "cluster_dataset": {
            "source": spec.dataset.source,
            "name": spec.dataset.name,
            "labels": spec.dataset.labels,
        },
        "cluster_login_keys": list(login_keys),
        "cluster_to_cancel": to_cancel(spec, snapshot.machines),
        "cluster_autostop_minutes": minutes(str(spec.options.get("autostop", ""))),
    }
    return inventory


def _in_order(spec: ClusterSpec, snapshot: Snapshot) -> list[Machine]:
    """Return the machines of known groups: groups in file order, then by number."""
    order = {group.name: index for index, group in enumerate(spec.groups)}
    known = [machine for machine in snapshot.machines if machine.group in order and machine.address]
    return sorted(known, key=lambda machine: (order[machine.group], machine_number(machine.name)))


def _memberships(group: NodeGroup) -> list[str]:
    names = [group.name, "cluster"]
    names += [name for name, members in FUNCTIONAL.items() if group.name in members]
    if group.name not in FUNCTIONAL["datanode"]:  # it has no HDFS, perhaps not even a way to it
        names.append("data_folder")
    return [*names, "deep_learning"] if group.deep_learning else names


def _host(machine: Machine, group: NodeGroup, size: Mapping[str, Any], ssh_args: str) -> dict[str, Any]:
    return {
        "ansible_host": machine.ssh_address,
        "ansible_user": USER,
        "ansible_ssh_common_args": ssh_args,
        "ansible_python_interpreter": "/usr/bin/python3",
        "node_name": machine.name,
        "node_group": group.name,
        "node_site": site(group),
        "node_shared": group.provider in SHARED,
        "node_address": machine.address,
        "node_cores": size["cores"],
        "node_memory_gb": size["memory_gb"],
        "node_gpus": int(machine.labels.get("gpus", 0)),
        "node_data_device": machine.data_device,
        "node_data_disk_gb": size["data_disk_gb"],
        "node_image": machine.image,
    }


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
