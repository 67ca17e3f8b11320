"""What callers get to know of machines, and the labels that they give them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from . import cgroups, registry, validate
from .registry import Node


def describe(node: Node) -> dict[str, Any]:
    """What the caller gets to know about a machine."""
    known = asdict(node)
    known["provider_id"] = node.provider_id
    known["state"] = condition(node)
    return known


def condition(node: Node) -> str:
    """The state of a machine, seen from its processes."""
    if node.deleting:
        return "deleting"
    if not node.prepared.exists():
        return "pending"
    return "running" if cgroups.processes(node.unit) else "stopped"


def of_cluster(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The machines of one cluster."""
    cluster_id = validate.hex_id(request.get("cluster_id"))
    return [describe(node) for node in registry.load().of(cluster_id)]


def of_all(request: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: ARG001  every verb takes one
    """The machines of every cluster of this computer, those of object stores left out."""
    state = registry.load()
    found = []
    for node in state.nodes.values():
        if not node.store and node.cluster_id in state.networks:
            known = describe(node)
            owner = {"cluster": state.networks[node.cluster_id].name, "cluster_id": node.cluster_id}
            mine = registry.caller() in (0, node.owner)
            found.append({**known, "labels": {**known["labels"], **owner, "mine": "yes" if mine else "no"}})
    return found


def label(request: dict[str, Any]) -> None:
    """Give machines labels that they keep; labels that are not mentioned stay."""
    cluster_id = validate.hex_id(request.get("cluster_id"))
    wanted = validate.mapping(request.get("labels"), "labels")
    with registry.cluster_lock(cluster_id), registry.changing() as state:
        for node in state.of(cluster_id):
            if node.provider_id in wanted:
                registry.authorize(node.owner, f"machine {node.name}")
                node.labels |= validate.labels(wanted[node.provider_id])
