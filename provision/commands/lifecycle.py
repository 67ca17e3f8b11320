"""init, up, status, destroy, demo: a cluster from its config file to its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provision.commands.common import (
    answer,
    answer_json,
    confirm,
    examples,
    in_parallel,
    known_size,
    of,
    say,
    state_folder,
    table,
    waiting,
)
from provision.core.errors import MusterError, PlanRefused
from provision.core.paths import PROJECT
from provision.planning.nodes import roles

if TYPE_CHECKING:
    from provision.cluster.cluster import Cluster
    from provision.core.model import Node

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


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "init",
        short_help="Write a new inventory file.",
        epilog=examples(
            "init                                      asks what it needs to know",
            "init retina --nodes 5 --memory 4          asks nothing",
            "init fundus --dataset ~/fundus            your own folder of images with a labels CSV",
        ),
    )(init)
    app.command(
        "up",
        short_help="Make the cluster as wished and ready to train.",
        epilog=examples(
            "up                              as the config file says",
            "up -n 5 --image-size 128        five nodes, the 128x128 set",
            "up -n 3 --scale-in              may delete nodes to get down to three",
            "up -- --check --diff            what follows -- goes to ansible-playbook",
        ),
    )(up)
    app.command(
        "status", short_help="Nodes, addresses, roles, what runs.", epilog=examples("status", "status --json")
    )(status)
    app.command(
        "destroy",
        short_help="Delete the machines; the data stays.",
        epilog=examples("destroy             asks first", "destroy --yes       asks nothing; for scripts"),
    )(destroy)
    app.command(
        "demo",
        short_help="From nothing to a trained model, here.",
        epilog=examples("demo", "demo -n 1            on a small computer"),
    )(demo)


ImageSize = Annotated[
    int, typer.Option("--image-size", callback=known_size, help="Pixels a side: 16, 32, 64, 128 or 256.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program to read.")]


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
    provider: Annotated[str, typer.Option(help="Where the machines come from.")] = "local",
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


def up(
    context: typer.Context,
    nodes: Annotated[int | None, typer.Option("--nodes", "-n", help="Wished size; master + workers.")] = None,
    size: ImageSize = 64,
    scale_in: Annotated[
        bool, typer.Option("--scale-in", help="Nodes may be deleted to get down to the wished size.")
    ] = False,
    more: Annotated[list[str] | None, typer.Argument(help="Options for ansible-playbook, after --.")] = None,
) -> None:
    """Make the cluster as wished and ready to train: start_cluster.yml and main.yml in one go."""
    from provision.cluster.ends import ending_words
    from provision.commands.playbooks import play_or_fail

    invocation = of(context)
    invocation.spec(nodes)
    extra: dict[str, Any] = {"IMAGE_SIZE": size}
    if nodes is not None:
        extra["NUM_NODES"] = nodes
    if scale_in:
        extra["SCALE_IN"] = True
    play_or_fail(["start_cluster.yml", "main.yml"], invocation.inventory, extra, more or [])
    cluster = invocation.cluster()
    for line in ending_words(cluster.spec, cluster.deadline):
        say(line)
    say("Ready. Next: ./muster submit logistic_regression, ./muster ui; at the end ./muster destroy")


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show nodes, states, addresses, roles, web pages and what runs."""
    from provision.cluster.ends import ending_words, stopped_words
    from provision.services import live

    invocation = of(context)
    spec = invocation.spec()

    def listed() -> tuple[Cluster, tuple[Node, ...]]:
        found = invocation.cluster(spec)
        return found, found.nodes

    with waiting(f"asking the machines of {spec.name}"):
        report, (cluster, nodes) = in_parallel(lambda: live.look(state_folder(spec.name), spec.name), listed)
    wish = cluster.wish or cluster.spec.nodes
    if as_json:
        known = live.as_json(cluster.spec.name, wish, nodes, report)
        answer_json({**known, "deadline": cluster.deadline or None})
        return
    if not nodes:
        answer(f"{cluster.spec.name}: no machines. Start it with ./muster up")
        return
    rows = [
        (
            node.name,
            node.machine.state,
            node.address,
            f"{node.group.cores}",
            f"{node.group.memory_gb:g} GiB",
            ", ".join(roles(node)),
        )
        for node in nodes
    ]
    answer(f"{cluster.spec.name}: {len(nodes)} machines, wished size {wish}")
    answer(table(("NODE", "STATE", "ADDRESS", "CORES", "MEMORY", "ROLES"), rows))
    off = all(node.machine.state == "stopped" for node in nodes)
    ends = stopped_words(spec) if off else ending_words(spec, cluster.deadline)
    for line in [*live.lines(report), *ends]:
        answer(line)


def destroy(
    context: typer.Context,
    yes: Yes = False,
    force: Annotated[bool, typer.Option("--force", help="Also while a job runs.")] = False,
) -> None:
    """Delete the machines of the cluster and confirm that they are gone. The object store stays."""
    cluster = of(context).cluster()
    nodes = cluster.nodes
    if not nodes:
        cluster.destroy()
        say(f"{cluster.spec.name}: no machines; nothing left to delete.")
        return
    if not force:
        _refuse_while_busy(cluster)
    confirm(f"Delete {', '.join(node.name for node in nodes)}?", yes=yes)
    outcome = cluster.destroy()
    say(f"{cluster.spec.name}: deleted {', '.join(outcome.deleted) or 'nothing'}. The object store stays.")


def _refuse_while_busy(cluster: Cluster) -> None:
    """Raise PlanRefused when a job runs or waits there. A master that does not answer stops nobody."""
    from provision.services import live

    busy = live.look(cluster.state_dir, cluster.spec.name).jobs
    if busy:
        raise PlanRefused(
            what=f"{len(busy)} job(s) run or wait there: {', '.join(busy)}",
            where=cluster.spec.name,
            remedy="Wait, ./muster cancel RUN, or say ./muster destroy --force",
        )


def demo(
    context: typer.Context,
    nodes: Annotated[int | None, typer.Option("--nodes", "-n", help="Master + workers.")] = None,
) -> None:
    """Everything on this computer: cluster, data, a trained model; then how to go on or tear down."""
    import time

    from provision.commands.playbooks import play_or_fail
    from provision.jobs import runs

    invocation = of(context)
    spec = invocation.spec(nodes)
    begin = time.monotonic()
    extra: dict[str, Any] = {"IMAGE_SIZE": 16}
    if nodes is not None:
        extra["NUM_NODES"] = nodes
    say(f"Cluster {spec.name}: {spec.nodes} machines, HDFS, Spark, digits at 16x16, then a training run.")
    play_or_fail(["start_cluster.yml", "main.yml"], invocation.inventory, extra)
    run = runs.submit(invocation.cluster(), "logistic_regression")
    option = "" if invocation.given == "inventories/local.yml" else f" -i {invocation.given}"
    say("")
    say(f"From nothing to a trained model in {time.monotonic() - begin:.0f} s; it lies in results/{run}/.")
    for command, what in (
        ("status", "what is there"),
        ("ui", "the web pages of HDFS and Spark"),
        ("ssh", "log in on the master: hdfs, pyspark, spark-submit just work"),
        ("submit YOUR.py", "your own program"),
        ("destroy", "delete the machines; the data stays for the next cluster"),
    ):
        say(f"  ./muster{option} {command:<15} {what}")
