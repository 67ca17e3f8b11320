"""ui: the web pages of the cluster in this computer's browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from muster_node.authorization import basic
from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson
from provision.commands.output import examples, print_json, print_result, say
from provision.core.errors import MusterError, NotReady
from provision.core.names import JOB_USER
from provision.core.progress import waiting
from provision.core.untrusted import parse_json

if TYPE_CHECKING:
    from paramiko import Transport

    from provision.cluster.view import ClusterView
    from provision.services.pages import Pages


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(
        "ui",
        epilog=examples(
            "ui               Ctrl-C closes them again",
            "ui --json        prints the addresses as JSON first",
            "ui --write       also what changes something: end a job, delete a file of HDFS",
        ),
    )(ui)


def ui(
    context: typer.Context,
    as_json: AsJson = False,
    write: Annotated[bool, typer.Option("--write", help="Let changes through, too.")] = False,
) -> None:
    """Open the pages of HDFS, Spark, jobs and MLflow through SSH, only for you, until Ctrl-C."""
    from muster_node.tracking.settings import FILE
    from provision.services import live
    from provision.services.gate import Gate
    from provision.services.pages import TRACKING, Pages
    from provision.ssh.run import run_on
    from provision.ssh.tunnels import through

    view = invocation_of(context).view()
    with connected(view) as (master, link):
        nodes = {machine.name: machine.address for machine in view.state.load().machines}
        logins = {}
        if "tracking" in view.spec.features:
            logins[TRACKING] = login(run_on(view.state.ssh_config, master, f"cat {FILE}", user=JOB_USER))
        pages = Pages(nodes, through(link), Gate(write=write), logins)
        try:
            found = addresses(pages, master, live.look(view.state.folder, view.spec.name).applications)
            found += [("MLflow", pages.entrance(master, port)) for port in logins]
            if as_json:
                print_json(dict(found))
            else:
                for name, address in found:
                    print_result(f"{name:<12} {address}")
            until_closed(partial(until_lost, link), "ui")
        finally:
            pages.close()


@contextmanager
def connected(view: ClusterView) -> Iterator[tuple[str, Transport]]:
    """Yield the master's name and an SSH connection to it. Raises MusterError."""
    from provision.ssh import connection

    targets = view.state.targets()
    machines = view.state.load().machines
    master = next((machine.name for machine in machines if machine.group == "master"), "")
    if master not in targets:
        raise MusterError(what="no machines", where=view.spec.name, remedy="Start it with ./muster up")
    with waiting(f"connecting to {master}"):
        link = connection.connect(targets[master], view.state.key_file, user=JOB_USER, deadline_s=15)
    link.set_keepalive(30)
    try:
        yield master, link
    finally:
        link.close()


def until_lost(link: Transport) -> None:
    """Return when a connection is lost."""
    closed = threading.Event()
    while link.is_active():
        closed.wait(1)


def until_closed(lost: Callable[[], object], command: str) -> None:
    """Wait for Ctrl-C. Raises MusterError when the connection is lost before, after which `lost` returns."""
    say("Open until Ctrl-C.")
    try:
        lost()
    except KeyboardInterrupt:
        say("Closed.")
        return
    raise MusterError(what="the SSH connection was lost", remedy=f"Run ./muster {command} again")


def login(settings: str) -> str:
    """Return the header with which MLflow lets in whom the master's settings name.

    Raises:
        NotReady: they are not there yet.
    """
    known = parse_json(settings)
    if not isinstance(known, dict) or not {"user", "password"} <= set(known):
        raise NotReady(where="MLflow", what="is not set up yet", remedy="Run ./muster up")
    return basic(str(known["user"]), str(known["password"]))


def addresses(pages: Pages, master: str, applications: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names and local addresses of the pages to begin with, which open them."""
    from provision.services.pages import HISTORY, MASTER, NAMENODE

    spark = pages.entrance(master, MASTER)
    found = [
        ("NameNode", pages.entrance(master, NAMENODE)),
        ("Master", spark),
        ("History", pages.entrance(master, HISTORY)),
    ]
    for application in applications:
        identifier = application.rpartition("(")[2].rstrip(")")
        found.append((f"Job {application.partition(' (')[0]}", f"{spark}proxy/{identifier}/"))
    return found
