"""up, demo: a cluster made ready to train, in one go."""

from __future__ import annotations

from typing import Annotated

import typer

from muster_node import sets
from provision.commands.invocation import invocation_of
from provision.commands.options import Cores, MemoryGb, Nodes, known_size, wish
from provision.commands.output import examples, say


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "up",
        epilog=examples(
            "up                              as the config file says",
            "up -n 5 --image-size 128        five nodes, the 128x128 set",
            "up -n 3 --scale-in              may delete nodes to get down to three",
            "up --cores 8 --memory-gb 16     larger machines; their data stays",
            "up -- --check --diff            what follows -- goes to ansible-playbook",
        ),
    )(up)
    app.command(
        "demo",
        epilog=examples("demo", "demo -n 1            on a small computer"),
    )(demo)


_SIZES = ", ".join(map(str, sets.SIZES))
ImageSize = Annotated[
    int | None,
    typer.Option(
        "--image-size", callback=known_size, help=f"Pixels a side: {_SIZES}; default: the last one."
    ),
]


def up(
    context: typer.Context,
    nodes: Nodes = None,
    cores: Cores = None,
    memory_gb: MemoryGb = None,
    size: ImageSize = None,
    scale_in: Annotated[
        bool, typer.Option("--scale-in", help="Nodes may be deleted to get down to the wished size.")
    ] = False,
    more: Annotated[list[str] | None, typer.Argument(help="Options for ansible-playbook, after --.")] = None,
) -> None:
    """Make the cluster as wished and ready to train: start_cluster.yml and main.yml in one go."""
    from provision.cluster.ends import ending_words
    from provision.commands.playbooks import play_or_fail

    invocation = invocation_of(context)
    extra = wish(nodes, cores, memory_gb)
    invocation.spec(extra)
    if size is not None:
        extra["IMAGE_SIZE"] = size
    if scale_in:
        extra["SCALE_IN"] = True
    play_or_fail(["start_cluster.yml", "main.yml"], invocation.inventory, extra, more or [])
    view = invocation.view()
    for line in ending_words(view.spec, view.deadline):
        say(line)
    say("Ready. Next: ./muster submit logistic_regression, ./muster ui; at the end ./muster destroy")


def demo(
    context: typer.Context,
    nodes: Nodes = None,
) -> None:
    """Everything on this computer: cluster, data, a trained model; then how to go on or tear down."""
    import time

    from provision.commands.playbooks import play_or_fail
    from provision.jobs import runs

    invocation = invocation_of(context)
    wished = wish(nodes)
    spec = invocation.spec(wished)
    begin = time.monotonic()
    extra = wished | {"IMAGE_SIZE": 16}
    say(f"Cluster {spec.name}: {spec.nodes} machines, HDFS, Spark, digits at 16x16, then a training run.")
    play_or_fail(["start_cluster.yml", "main.yml"], invocation.inventory, extra)
    run = runs.submit(invocation.view().queue, "logistic_regression")
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
