"""reap: delete what has outlived its time."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provision.commands.images import prune_clouds
from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson, Yes
from provision.commands.output import confirm, examples, print_json, say
from provision.core.errors import MusterError, NotAllReaped
from provision.core.paths import PROJECT

if TYPE_CHECKING:
    from provision.fleet.reap import Expired

BUILDER = "of an `images bake` that was killed"
"""Why a builder goes."""


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "reap",
        epilog=examples(
            "reap                 shows it and asks; all inventories",
            "reap --dry-run       only shows it",
            "reap --yes           for cron (docs/lifetime.md)",
            "reap retina          only clusters of this name",
            "reap --images        and images that no config file needs any more",
        ),
    )(reap)


def reap(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[CLUSTER]...", help="Default: all.")] = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    images: Annotated[
        bool, typer.Option("--images", help="And images at clouds that no config file needs any more.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete clusters that are past their deadline, or that this clone has made and lost the state of.

    Looks at every provider of every inventory file. Clusters of other people on the same account go only when
    they are past their own deadline. What a killed `images bake` left goes, too.
    """
    from provision import providers
    from provision.cluster import capturing
    from provision.fleet import overview
    from provision.fleet.reap import delete_all, find
    from provision.state.timeline import ConsoleReporter

    given = invocation_of(context).inventory
    files = dict.fromkeys(p.resolve() for p in [given, *sorted((PROJECT / "inventories").glob("*.yml"))])
    specs, unread = overview.configs(files)
    search = find(specs, PROJECT, now=time.time(), names=names or (), load=providers.load)
    for line in (*unread, *search.not_asked):
        say(f"left out: {line}")
    builders = [name for name in capturing.left_builders() if not names or name in names]
    search = replace(search, expired=tuple(e for e in search.expired if e.cluster.name not in builders))
    for name in builders:
        say(f"{name}, {BUILDER}")
    for each in search.expired:
        machines = ", ".join(machine.name for machine in each.machines)
        say(f"{each.cluster.name} on {each.provider.name}, {each.why}: {machines}")
    if not search.expired and not builders:
        say("Nothing has outlived its time.")
    if (search.expired or builders) and not dry_run:
        count = sum(len(each.machines) for each in search.expired) + len(builders)
        confirm(f"Delete {count} machine(s)?", yes=yes)
    failed = {} if dry_run else delete_all(search.expired, specs, PROJECT, say)
    if as_json:
        print_json([_for_json(each, dry_run=dry_run, failed=failed) for each in search.expired])
    stay = {**failed, **({} if dry_run else capturing.end_builders(builders, ConsoleReporter(say)))}
    if images:
        prune_clouds(specs, specs, yes=yes, dry_run=dry_run, left_out=lambda line: say(f"left out: {line}"))
    if search.missed and not stay:
        raise NotAllReaped(what=f"not everything could be looked at; the first one: {search.missed[0]}")
    if stay:
        raise NotAllReaped(
            what=f"{len(stay)} of {len(search.expired) + len(builders)} cluster(s) are still there; "
            f"the first one: {next(iter(stay.values()))}",
            remedy="Run ./muster reap again",
        )


def _for_json(each: Expired, *, dry_run: bool, failed: dict[str, MusterError]) -> dict[str, Any]:
    error = failed.get(each.cluster.id)
    return {
        "cluster": each.cluster.name,
        "id": each.cluster.id,
        "provider": each.provider.name,
        "why": each.why,
        "deadline": each.deadline or None,
        "machines": [machine.name for machine in each.machines],
        "deleted": not dry_run and error is None,
        "error": str(error) if error else "",
    }
