"""What machines have: processors, memory and room on a data disk; and giving them other limits."""

from __future__ import annotations

from typing import Any

from . import capacity, cgroups, registry, validate
from .errors import HelperError


def sizes(group: dict[str, Any]) -> dict[str, Any]:
    """The validated size of a group's machines."""
    return {
        "cores": cores_of(group),
        "memory_mb": memory_of(group),
        "disk_gb": int(validate.number(group.get("data_disk_gb", 0), "data_disk_gb", 0, 65536)),
    }


def cores_of(size: dict[str, Any]) -> float:
    """The validated processors of a size."""
    return float(validate.number(size.get("cores"), "cores", 0.1, 1024))


def memory_of(size: dict[str, Any]) -> int:
    """The validated memory of a size, in MiB."""
    return int(validate.number(size.get("memory_gb"), "memory_gb", 0.25, 65536) * 1024)


def reshape(request: dict[str, Any]) -> None:
    """Give machines that are off other processors and memory, and the labels that tell them."""
    cluster_id = validate.hex_id(request.get("cluster_id"))
    names = validate.names(request.get("names"))
    size = validate.mapping(request.get("size"), "size")
    cores, memory_mb = cores_of(size), memory_of(size)
    labels = validate.labels(request.get("labels", {}))
    with registry.cluster_lock(cluster_id), registry.changing() as state:
        chosen = [node for node in state.of(cluster_id) if node.name in names]
        for node in chosen:
            registry.authorize(node.owner, f"machine {node.name}")
        if running := [node.name for node in chosen if cgroups.processes(node.unit)]:
            raise HelperError(f"{', '.join(running)} must be off to be given other limits", kind="refused")
        capacity.require_growth(
            state, {node.provider_id: memory_mb for node in chosen}, capacity.total_memory_mb()
        )
        for node in chosen:
            node.cores, node.memory_mb = cores, memory_mb
            node.labels |= labels
