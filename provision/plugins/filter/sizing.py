"""Filters over provision.planning.sizing and provision.images.cache for the roles' variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError

from provision.images import cache
from provision.planning import sizing


def muster_node_sizing(roles: Iterable[str], cores: int, memory_gb: float) -> dict[str, Any]:
    """NodeSizing, as a dictionary, of a node with these roles."""
    try:
        return asdict(sizing.node_sizing(int(cores), float(memory_gb), frozenset(roles)))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def muster_cluster_sizing(nodes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """ApplicationSizing, as a dictionary, of `cluster_nodes`."""
    try:
        return asdict(sizing.cluster_sizing(nodes))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def muster_job_machines(
    nodes: Iterable[Mapping[str, Any]], site: str, functional: Mapping[str, Iterable[str]]
) -> list[dict[str, Any]]:
    """The machines of `cluster_nodes` as the queue of jobs knows them; `functional`: hosts by daemon."""
    known = ("name", "group", "closed", "cores", "memory_gb", "gpus", "hourly")
    found = []
    for node in nodes:
        daemons = {name for name, hosts in functional.items() if node["name"] in hosts}
        sized = sizing.node_sizing(int(node["cores"]), float(node["memory_gb"]), daemons)
        found.append(
            {
                **{key: node[key] for key in known},
                "address": node["way"],
                "memory_mb": sized.runs_mb,
                "spark": "spark_worker" in daemons,
                "near": node["site"] == site,
            }
        )
    return found


def muster_registry(kind: str) -> str:
    """Base address of a package registry (`'maven'`, `'pypi'`), as the control machine is configured."""
    return cache.default_registries()[kind]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name -> function."""
        return {
            "muster_node_sizing": muster_node_sizing,
            "muster_cluster_sizing": muster_cluster_sizing,
            "muster_job_machines": muster_job_machines,
            "muster_registry": muster_registry,
        }
