"""destroy: delete the machines; the data stays."""

from __future__ import annotations

from typing import Annotated

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import Yes
from provision.commands.output import confirm, examples, say


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "destroy",
        epilog=examples("destroy             asks first", "destroy --yes       asks nothing; for scripts"),
    )(destroy)


def destroy(
    context: typer.Context,
    yes: Yes = False,
    force: Annotated[bool, typer.Option("--force", help="Also while a job runs; it is ended.")] = False,
) -> None:
    """Delete the machines of the cluster and confirm that they are gone. The object store stays."""
    from provision.cluster.ends import destroyed_words

    cluster = invocation_of(context).cluster()
    nodes = cluster.view.nodes
    if nodes and not (force or yes):
        cluster.refuse_while_busy()  # before a person is asked
    if nodes:
        confirm(f"Delete {', '.join(node.name for node in nodes)}?", yes=yes)
    say(destroyed_words(cluster.spec, cluster.destroy(force=force)))
