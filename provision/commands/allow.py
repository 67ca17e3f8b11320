"""allow: who may reach SSH of machines in a cloud."""

from __future__ import annotations

from typing import Annotated

import typer

from provision.commands.invocation import invocation_of
from provision.commands.output import examples, say
from provision.core.errors import MusterError
from provision.core.networks import network
from provision.core.progress import waiting


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "allow",
        epilog=examples(
            "allow                    this computer, when its address has changed",
            "allow 203.0.113.0/24     a network",
            "allow --only             this computer, and none of those before",
        ),
    )(allow)


def allow(
    context: typer.Context,
    source: Annotated[
        list[str] | None,
        typer.Argument(help="Addresses or networks; default: yours, as the internet sees it."),
    ] = None,
    only: Annotated[
        bool, typer.Option("--only", help="Nobody else any more, but for allow_from of the config file.")
    ] = False,
) -> None:
    """Let addresses reach SSH of the cluster's machines, besides those that may already."""
    try:
        networks = [network(text) for text in source or []]
    except ValueError as error:
        raise MusterError(what=str(error)) from error
    cluster = invocation_of(context).cluster()
    with waiting("changing who may log in"):
        change = cluster.allow(networks, only=only)
    if change.added:
        say(f"may log in from now on: {', '.join(change.added)}")
    if change.withdrawn:
        say(f"may not log in any more: {', '.join(change.withdrawn)}")
    if not (change.added or change.withdrawn):
        say("nothing to do: it is so already")
