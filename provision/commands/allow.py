"""allow: who may reach SSH of machines in a cloud."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated

import typer

from provision.commands.invocation import invocation_of
from provision.commands.output import examples, say
from provision.core.errors import MusterError
from provision.core.progress import waiting


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "allow",
        short_help="Let an address reach a cluster in a cloud.",
        epilog=examples(
            "allow                    this computer, when its address has changed",
            "allow 203.0.113.0/24     a network",
        ),
    )(allow)


def allow(
    context: typer.Context,
    source: Annotated[
        list[str] | None,
        typer.Argument(help="Addresses or networks; default: yours, as the internet sees it."),
    ] = None,
) -> None:
    """Let addresses reach SSH of the cluster's machines, besides those that may already."""
    for text in source or []:
        try:
            IPv4Network(text)
        except ValueError as error:
            raise MusterError(
                what=f"is no address or network: {error}", where=text, remedy="Write it like 203.0.113.7/32"
            ) from error
    cluster = invocation_of(context).cluster()
    with waiting("asking the provider"):
        added = cluster.allow(source or [])
    say(f"may log in from now on: {', '.join(added)}" if added else "nothing to do: they may log in already")
