"""access: who may log in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from provision.commands.invocation import Invocation, invocation_of, shown
from provision.commands.options import AsJson
from provision.commands.output import examples, print_json, print_result, say
from provision.core.errors import CommandFailed, ConfigError, MusterError
from provision.core.progress import waiting
from provision.core.text import table

if TYPE_CHECKING:
    from provision.core.model import ClusterSpec


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
    app.add_typer(people, name="access", short_help="Who may log in: add, remove, list.")


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The person's name.")],
    key: Annotated[list[str], typer.Argument(help="A public key, or the file that it is in.")],
) -> None:
    """Put a person into `access` of the config file and let them in on all machines at once."""
    from provision.config import edit
    from provision.ssh import access

    invocation = invocation_of(context)
    spec = invocation.spec()
    _lock(invocation, spec)
    edit.add_person(invocation.inventory, name, access.read_key(" ".join(key)))
    spec = invocation.spec()
    _told(spec, f"{name} may log in", _on_machines(invocation, spec))


def remove(context: typer.Context, name: Annotated[str, typer.Argument(help="The person's name.")]) -> None:
    """Take a person out of `access`, remove the key from all machines and end what was opened with it."""
    from provision.config import edit
    from provision.ssh import access

    invocation = invocation_of(context)
    spec = invocation.spec()
    if name not in spec.access:
        raise ConfigError(
            file=spec.path,
            key="access",
            what=f"there is no {name!r}",
            remedy=f"There are: {', '.join(spec.access) or 'none'}",
        )
    removed = spec.access[name]
    if access.own_key(invocation.cluster(spec).state) == access.bare(removed):
        raise MusterError(
            where=name,
            what="this checkout itself logs in with that key",
            remedy="Remove it from another checkout that works on the cluster",
        )
    _lock(invocation, spec)
    rest = {other: key for other, key in spec.access.items() if other != name}
    doubled = access.bare(removed) in map(access.bare, rest.values())
    # The machines first: killed in between, the same command is still possible.
    failed = _on_machines(invocation, replace(spec, access=rest), "" if doubled else removed)
    edit.remove_person(invocation.inventory, name)
    _told(spec, f"{name} may not log in any more", failed)


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


def _lock(invocation: Invocation, spec: ClusterSpec) -> None:
    """Keep other commands off the cluster, when it was started. Raises LeaseHeld."""
    cluster = invocation.cluster(spec)
    if cluster.state.exists():
        cluster.lock()


def _on_machines(invocation: Invocation, spec: ClusterSpec, removed: str = "") -> dict[str, str] | None:
    """Write the keys on all machines; return what went wrong, by machine; None when there are none."""
    from provision.ssh import access

    state = invocation.cluster(spec).state
    if not state.exists():
        return None
    with waiting(f"changing the keys on the machines of {spec.name}"):
        return access.apply(state, spec.access, removed)


def _told(spec: ClusterSpec, done: str, failed: dict[str, str] | None) -> None:
    """Say what was done. Raises CommandFailed when a machine did not do it."""
    file = shown(spec.path)
    if failed:
        first = next(iter(failed))
        raise CommandFailed(
            where=", ".join(failed),
            what=f"the keys could not be changed ({first}: {failed[first]})",
            remedy=f"{file} is changed; when they answer again, run start_cluster.yml",
        )
    if failed is None:
        say(f"{done}, once the cluster is started (it is in {file}).")
    else:
        say(f"{done}: {file} and all machines of {spec.name} are changed.")
