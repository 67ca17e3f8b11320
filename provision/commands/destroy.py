"""destroy: delete the machines; the data stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import Yes
from provision.commands.output import confirm, examples, say
from provision.core.errors import PlanRefused

if TYPE_CHECKING:
    from provision.cluster.cluster import Cluster


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "destroy",
        short_help="Delete the machines; the data stays.",
        epilog=examples("destroy             asks first", "destroy --yes       asks nothing; for scripts"),
    )(destroy)


def destroy(
    context: typer.Context,
    yes: Yes = False,
    force: Annotated[bool, typer.Option("--force", help="Also while a job runs.")] = False,
) -> None:
    """Delete the machines of the cluster and confirm that they are gone. The object store stays."""
    cluster = invocation_of(context).cluster()
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
