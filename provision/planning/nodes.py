"""Machines together with their groups, and what runs on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provision.core.features import ENGINES, NOTEBOOK
from provision.core.model import Machine, Node
from provision.core.names import MASTER, NODE_GROUPS, WORKER
from provision.core.spec import ClusterSpec, NodeGroup, Scale


def machine_size(machine: Machine, group: NodeGroup) -> dict[str, Any]:
    """Return cores, memory_gb and data_disk_gb as the machine was made, whatever the config says now."""
    labels: Mapping[str, str] = machine.labels
    return {
        "cores": int(labels.get("cores", group.cores)),
        "memory_gb": float(labels.get("memory_gb", group.memory_gb)),
        "data_disk_gb": int(labels.get("data_disk_gb", group.data_disk_gb)),
    }


def reshaped(machine: Machine, group: NodeGroup) -> Machine:
    """Return a machine as it is once it has its group's processors and memory."""
    return replace(machine, labels={**machine.labels, **group.shape_labels})


def wish_labels(nodes: int, scale: Scale) -> dict[str, str]:
    """Return what the master's labels say of what was wished."""
    wanted = {"wish": nodes, **{f"wish_{name}": value for name, value in vars(scale).items()}}
    return {name: f"{value:g}" for name, value in wanted.items() if value is not None}


def wish_of(labels: Mapping[str, str]) -> tuple[int | None, Scale]:
    """Return the size (None: they do not say) and the scale that a master's labels tell."""
    names = ("wish", "wish_cores", "wish_machines")
    nodes, cores, machines = (
        None if (n := number_of(labels.get(name, ""))) is None else int(n) for name in names
    )
    return nodes, Scale(cores, number_of(labels.get("wish_memory_gb", "")), machines)


def number_of(text: str) -> float | None:
    """Return the number that a label says, None when it says none."""
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else None


def node_of(spec: ClusterSpec, machine: Machine) -> Node:
    """Return a machine with its group, in the size that it was made with."""
    for group in spec.groups:
        if group.name == machine.group:
            return Node(machine=machine, group=NodeGroup(**{**vars(group), **machine_size(machine, group)}))
    lost = NodeGroup(machine.group, spec.provider, 0, cores=0, memory_gb=0, data_disk_gb=0)
    return Node(machine=machine, group=lost)


def roles(node: Node) -> list[str]:
    """Return what runs on a machine, in words."""
    names = ["NameNode", "Master", "History"] if node.group.name == MASTER else []
    names += ["DataNode", "Worker"] if node.group.name in NODE_GROUPS else []
    return [*names, "deep learning"] if node.group.deep_learning else names


def services(spec: ClusterSpec, group: NodeGroup) -> tuple[str, ...]:
    """Return what features run on the machines of a group: all on the master, engines on workers.

    The master has enough to do, so it has engines only where there are no workers.
    """
    alone = not any(one.name == WORKER and spec.size(one) for one in spec.groups)
    found = spec.features if group.name == MASTER else ()
    has_engines = NOTEBOOK in spec.features and group.name == (MASTER if alone else WORKER)
    return (*found, ENGINES) if has_engines else found
