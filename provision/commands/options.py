"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from muster_node import sets


def known_size(value: int | None) -> int | None:
    """Return an image size. Raises typer.BadParameter when the data does not come in it."""
    if value is not None and value not in sets.SIZES:
        raise typer.BadParameter(f"{value} is no image size; choose one of {', '.join(map(str, sets.SIZES))}")
    return value


def wish(
    nodes: int | None = None, cores: int | None = None, memory_gb: float | None = None
) -> dict[str, Any]:
    """Return what was wished of the machines as the names that playbooks take with `-e`."""
    found = {"NUM_NODES": nodes, "CORES": cores, "MEMORY_GB": memory_gb}
    return {name: value for name, value in found.items() if value is not None}


Nodes = Annotated[int | None, typer.Option("--nodes", "-n", help="Wished size; master + workers.")]
Cores = Annotated[int | None, typer.Option("--cores", help="Processors of each of them, from now on.")]
MemoryGb = Annotated[float | None, typer.Option("--memory-gb", help="GiB of memory of each of them.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program to read.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
