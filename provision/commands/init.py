"""init: write a new config file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from provision.commands.output import examples, say
from provision.core.errors import MusterError
from provision.core.paths import PROJECT
from provision.providers import DEFAULT


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "init",
        epilog=examples(
            "init                                      asks what it needs to know",
            "init retina --nodes 5 --memory 4          asks nothing",
            "init fundus --dataset ~/fundus            your own folder of images with a labels CSV",
        ),
    )(init)


CONFIG = """\
---
# {name}: config file and Ansible inventory in one. All keys: docs/config.md
plugin: cluster
cluster: {name}
provider: {provider}
nodes: {nodes}                         # master + workers; the master is a worker too
groups:
  master: {{cores: {cores}, memory_gb: {master_memory:g}, data_disk_gb: {disk}}}
  worker: {{cores: {cores}, memory_gb: {memory:g}, data_disk_gb: {disk}}}
object_store: {{name: default}}          # outlives clusters, may be shared by several
dataset: {{source: {source}}}
"""


def init(
    name: Annotated[
        str, typer.Argument(help="The cluster's name; its machines are called NAME-master, NAME-worker-1, …")
    ] = "",
    nodes: Annotated[int | None, typer.Option("--nodes", "-n", min=1, help="Master + workers.")] = None,
    cores: Annotated[int, typer.Option(min=1, help="Processors of each node.")] = 2,
    memory: Annotated[
        float | None, typer.Option(min=1, help="GiB of memory of each worker; the master gets one more.")
    ] = None,
    disk: Annotated[int, typer.Option(min=0, help="GB of each node's data disk.")] = 100,
    dataset: Annotated[
        str, typer.Option(help="`digits`, or a folder of images with a labels CSV.")
    ] = "digits",
    provider: Annotated[str, typer.Option(help="Where the machines come from.")] = DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file when there is one.")] = False,
) -> None:
    """Write a new inventory file; ask for what was not said."""
    asking = sys.stdin.isatty()
    if not name:
        if not asking:
            raise MusterError(what="the cluster needs a name", remedy="Say ./muster init NAME")
        name = typer.prompt("Name of the cluster", default="retina", err=True)
    if nodes is None:
        nodes = typer.prompt("Nodes (master + workers)", default=3, type=int, err=True) if asking else 3
    if memory is None:
        memory = (
            typer.prompt("GiB of memory of each worker", default=2.0, type=float, err=True) if asking else 2.0
        )
    path = PROJECT / "inventories" / f"{name}.yml"
    if path.exists() and not force:
        raise MusterError(
            what="the file exists and was left as it is",
            where=str(path),
            remedy="Choose another name, or say --force",
        )
    _write_checked(
        path,
        CONFIG.format(
            name=name, provider=provider, nodes=nodes, cores=cores, disk=disk, source=dataset,
            memory=memory, master_memory=memory + 1,
        ),
    )  # fmt: skip
    shown = path.relative_to(PROJECT)
    say(f"Wrote {shown}. Look it over, then: ./muster -i {shown} up")


def _write_checked(path: Path, text: str) -> None:
    """Write a config file, but only one that is valid. Raises ConfigError, leaving everything as it was."""
    from provision.config.load import load_config

    before = path.read_text(encoding="utf-8") if path.exists() else None
    try:
        path.write_text(text, encoding="utf-8")
        load_config(path)
    except (MusterError, OSError):
        if before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(before, encoding="utf-8")
        raise
