"""ingest: a data set comes into the object store, as its description says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from provision.commands.invocation import invocation_of
from provision.commands.output import examples, print_result, say


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "ingest",
        epilog=examples(
            "ingest retina.yml              archives, addresses, a folder or another store: docs/data.md",
            "ingest retina.yml -d           do not wait for its end",
        ),
    )(ingest)


def ingest(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The description of the data set.")],
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for its end.")] = False,
    more: Annotated[list[str] | None, typer.Argument(help="Options for ansible-playbook, after --.")] = None,
) -> None:
    """Bring a data set into the object store; the nodes fetch it, and go on without this computer."""
    from provision.commands.playbooks import play_or_fail
    from provision.data import ingest as bringing
    from provision.data.description import load

    described = load(file)
    invocation = invocation_of(context)
    if described.source.container:  # its keys are variables of Ansible's
        extra = {"SOURCE": str(file.resolve()), "DETACH": detach}
        play_or_fail(["ingest.yml"], invocation.inventory, extra, more or [])
        return
    view = invocation.view()
    run = bringing.bring(
        view.spec, view.state, view.queue, described, file, deadline=view.deadline, follow=not detach, say=say
    )
    if run and detach:
        print_result(run)
        say(f"Follow it and fetch its report with ./muster logs {run} -f")
