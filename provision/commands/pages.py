"""ui: the web pages of the cluster in this computer's browser."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from provision.commands.common import answer, answer_json, examples, of, say, waiting
from provision.errors import MusterError

if TYPE_CHECKING:
    from provision.ui import Pages


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "ui",
        short_help="Open the web pages of HDFS and Spark here.",
        epilog=examples(
            "ui               Ctrl-C closes them again", "ui --json        prints the addresses as JSON first"
        ),
    )(ui)


def ui(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Open the pages of NameNode, Master, jobs and History through SSH, only here, until Ctrl-C."""
    from provision import trust
    from provision.commands import live
    from provision.ui import Pages, through

    cluster = of(context).cluster()
    nodes = {node.name: node.address for node in cluster.nodes}
    master = next((node.name for node in cluster.nodes if node.group.name == "master"), "")
    if not master:
        raise MusterError(what="no machines", where=cluster.spec.name, remedy="Start it with ./muster up")
    with waiting(f"connecting to {master}"):
        client = trust.connect(cluster.state_dir, master)
    try:
        transport = client.get_transport()
        if transport is None:
            raise MusterError(what="the SSH connection was lost", where=master, remedy="Try again")
        transport.set_keepalive(30)
        pages = Pages(nodes, through(transport))
        try:
            found = addresses(pages, master, live.look(cluster.state_dir, cluster.spec.name).applications)
            if as_json:
                answer_json(dict(found))
            else:
                for name, address in found:
                    answer(f"{name:<12} {address}")
            say("Open until Ctrl-C.")
            closed = threading.Event()
            try:
                while transport.is_active():
                    closed.wait(1)
            except KeyboardInterrupt:
                say("Closed.")
                return
            raise MusterError(
                what="the SSH connection was lost", where=master, remedy="Run ./muster ui again"
            )
        finally:
            pages.close()
    finally:
        client.close()


def addresses(pages: Pages, master: str, applications: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names and local addresses of the pages to begin with."""
    from provision import ui as ports

    spark = pages.local(master, ports.MASTER)
    found = [
        ("NameNode", f"http://{pages.local(master, ports.NAMENODE)}/"),
        ("Master", f"http://{spark}/"),
        ("History", f"http://{pages.local(master, ports.HISTORY)}/"),
    ]
    for application in applications:
        identifier = application.rpartition("(")[2].rstrip(")")
        found.append((f"Job {application.partition(' (')[0]}", f"http://{spark}/proxy/{identifier}/"))
    return found
