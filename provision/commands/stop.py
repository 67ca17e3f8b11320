"""stop, extend: power a cluster off, give it more time."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer

from provision.commands.invocation import invocation_of
from provision.commands.output import examples, say
from provision.core.spec import Duration


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "stop",
        epilog=examples(
            "stop", "stop --force         also while a job runs", "up                   starts it again"
        ),
    )(stop)
    app.command(
        "extend",
        epilog=examples("extend 4h            four hours after its present deadline", "extend 30m"),
    )(extend)


def stop(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Also while a job runs; it is ended.")] = False,
) -> None:
    """Power the machines off. HDFS and all else on their disks is there again after start_cluster.yml."""
    from provision.cluster.ends import stopped_words

    cluster = invocation_of(context).cluster()
    stopped = cluster.stop(force=force)
    what = f"stopped {', '.join(stopped)}" if stopped else "was stopped already"
    say(f"{cluster.spec.name}: {what}")
    for line in stopped_words(cluster.spec):
        say(f"  {line}")


def extend(
    context: typer.Context,
    duration: Annotated[str, typer.Argument(help="How much longer: 30m, 4h or 1d.")],
) -> None:
    """Move the deadline of the cluster: on its machines, at the provider, and here."""
    from provision.cluster.ends import ending_words

    more = False
    with suppress(ValueError):
        more = bool(Duration(duration))
    if not more:
        raise typer.BadParameter(f"{duration!r} is no duration; write it like 30m, 4h or 1d")
    cluster = invocation_of(context).cluster()
    deadline = cluster.extend(duration)
    for line in ending_words(cluster.spec, deadline):
        say(line)
