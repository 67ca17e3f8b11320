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
            "muster_registry": muster_registry,
        }
