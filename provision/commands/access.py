"""access: who may log in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from provision.commands.invocation import invocation_of, shown
from provision.commands.options import AsJson
from provision.commands.output import examples, print_json, print_result, say
from provision.core.errors import CommandFailed
from provision.core.progress import waiting
from provision.core.text import table

if TYPE_CHECKING:
    from provision.cluster.people import Failures
    from provision.core.spec import ClusterSpec


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    people = typer.Typer(
        help="Who may log in on the cluster.",
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    people.command(
        "add",
        short_help="Let somebody in.",
        epilog=examples("access add katie ~/katie.pub", "access add katie 'ssh-ed25519 AAAA… katie@home'"),
    )(add)
    people.command(
        "remove", short_help="Keep somebody out from now on.", epilog=examples("access remove katie")
    )(remove)
    people.command(
        "list", short_help="Who may log in.", epilog=examples("access list", "access list --json")
    )(list_people)
    app.add_typer(people, name="access", epilog=examples("access add katie ~/katie.pub", "access list"))


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The person's name.")],
    key: Annotated[list[str], typer.Argument(help="A public key, or the file that it is in.")],
) -> None:
    """Put a person into `access` of the config file and let them in on all machines at once."""
    from provision.cluster.people import let_in
    from provision.ssh import access

    cluster = invocation_of(context).cluster()
    with waiting(f"changing the keys on the machines of {cluster.spec.name}"):
        failures = let_in(cluster, name, access.read_key(" ".join(key)))
    _report(cluster.spec, f"{name} may log in", failures)


def remove(context: typer.Context, name: Annotated[str, typer.Argument(help="The person's name.")]) -> None:
    """Take a person out of `access`, remove the key from all machines and end what was opened with it."""
    from provision.cluster.people import keep_out

    cluster = invocation_of(context).cluster()
    with waiting(f"changing the keys on the machines of {cluster.spec.name}"):
        failures = keep_out(cluster, name)
    _report(cluster.spec, f"{name} may not log in any more", failures)


def list_people(
    context: typer.Context,
    as_json: AsJson = False,
) -> None:
    """Show who may log in, by the config file."""
    from provision.ssh import access

    people = invocation_of(context).spec().access
    if as_json:
        print_json([{"name": name, "key": key} for name, key in people.items()])
        return
    if not people:
        print_result("Nobody but this checkout. ./muster access add NAME KEY lets somebody in.")
        return
    rows = [(name, key.split()[0], access.fingerprint(key)) for name, key in people.items()]
    print_result(table(("NAME", "KIND", "FINGERPRINT"), rows))


def _report(spec: ClusterSpec, done: str, failures: Failures) -> None:
    """Say what was done. Raises CommandFailed when a machine did not do it."""
    file = shown(spec.path)
    if failures:
        first = next(iter(failures))
        raise CommandFailed(
            where=", ".join(failures),
            what=f"the keys could not be changed ({first}: {failures[first]})",
            remedy=f"{file} is changed; when they answer again, run start_cluster.yml",
        )
    if failures is None:
        say(f"{done}, once the cluster is started (it is in {file}).")
    else:
        say(f"{done}: {file} and all machines of {spec.name} are changed.")
