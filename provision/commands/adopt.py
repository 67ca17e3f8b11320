"""adopt: work from here on a cluster that was started elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provision.commands.invocation import config_named, invocation_of, shown
from provision.commands.output import examples, say


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "adopt",
        epilog=examples("adopt retina", "adopt retina --key ~/.ssh/muster"),
    )(adopt)


def adopt(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The cluster; a config file of this name must be here.")],
    key: Annotated[Path, typer.Option(help="Your private key, whose public one stands in `access`.")] = Path(
        "~/.ssh/id_ed25519"
    ),
    id: Annotated[str, typer.Option(help="Its id, when several have this name.")] = "",
) -> None:
    """Make the state of a cluster anew from its provider and machines, after it was lost or made elsewhere.

    Host keys are pinned from labels that the machines have at the provider; none is trusted on first use.
    """
    spec = config_named(invocation_of(context), name)
    cluster = invocation_of(context).cluster(spec)
    found = cluster.adopt(key.expanduser(), id=id)
    if cluster.state.load().complete:
        say(f"{name} ({found.id}) is adopted. Next: ./muster -i {shown(spec.path)} status")
    else:
        say(f"{name} ({found.id}) is adopted; not all of its machines run. start_cluster.yml starts them")
