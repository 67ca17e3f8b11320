"""Filters over provision.sizing and provision.artifacts for the roles' variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError

from provision import artifacts, sizing


def muster_node_sizing(roles: Iterable[str], cores: int, memory_gb: float) -> dict[str, Any]:
    """`[roles] | muster_node_sizing(cores, memory_gb)`: NodeSizing as a dictionary."""
    try:
        return asdict(sizing.node_sizing(int(cores), float(memory_gb), frozenset(roles)))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def muster_cluster_sizing(nodes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """`cluster_nodes | muster_cluster_sizing`: ApplicationSizing as a dictionary."""
    try:
        return asdict(sizing.cluster_sizing(nodes))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


def muster_registry(kind: str) -> str:
    """`'maven' | muster_registry`: base address of a package registry, as the control machine is configured."""
    return artifacts.default_registries()[kind]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name -> function."""
        return {
            "muster_node_sizing": muster_node_sizing,
            "muster_cluster_sizing": muster_cluster_sizing,
            "muster_registry": muster_registry,
        }
