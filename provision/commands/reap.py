"""reap: delete what has outlived its time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson, Yes
from provision.commands.output import confirm, examples, print_json, say
from provision.core.errors import MusterError, NotAllReaped
from provision.core.paths import PROJECT

if TYPE_CHECKING:
    from provision.core.model import ClusterSpec
    from provision.fleet.reap import Doomed
    from provision.providers.base import Provider


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "reap",
        short_help="Delete what has outlived its time.",
        epilog=examples(
            "reap                 shows it and asks; all inventories",
            "reap --dry-run       only shows it",
            "reap --yes           for cron (docs/lifetime.md)",
            "reap retina          only clusters of this name",
        ),
    )(reap)


def reap(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[CLUSTER]...", help="Default: all.")] = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete clusters that are past their deadline, or that this clone has made and lost the state of.

    Looks at every provider of every inventory file. Clusters of other people on the same account go only when
    they are past their own deadline.
    """
    specs = _specs(invocation_of(context).inventory)
    doomed, providers, unseen = _find(specs, names or [])
    for each in doomed:
        machines = ", ".join(machine.name for machine in each.machines)
        say(f"{each.cluster.name} on {each.provider}, {each.why}: {machines}")
    if not doomed:
        say("Nothing has outlived its time.")
    if doomed and not dry_run:
        confirm(f"Delete {sum(len(each.machines) for each in doomed)} machine(s)?", yes=yes)
    failed = {} if dry_run else _delete(doomed, providers, specs)
    if as_json:
        print_json([_told(each, dry_run=dry_run, failed=failed) for each in doomed])
    if unseen and not failed:
        raise NotAllReaped(what=f"not everything could be looked at; the first one: {unseen[0]}")
    if failed:
        raise NotAllReaped(
            what=f"{len(failed)} of {len(doomed)} cluster(s) are still there; the first one: "
            f"{next(iter(failed.values()))}",
            remedy="Run ./muster reap again",
        )


def _specs(given: Path) -> list[ClusterSpec]:
    """Return the configs of the given inventory file and of all others; what cannot be read is said."""
    from provision.config.load import is_config, load_config

    specs = []
    for path in dict.fromkeys(p.resolve() for p in [given, *sorted((PROJECT / "inventories").glob("*.yml"))]):
        if is_config(path):
            try:
                specs.append(load_config(path))
            except MusterError as error:
                say(f"left out: {error}")
    return specs


def _find(specs: list[ClusterSpec], names: list[str]) -> tuple[list[Doomed], dict[str, Provider], list[str]]:
    """Return what is to go, the provider that listed each machine (by its id), and who did not answer."""
    from provision import providers
    from provision.core.paths import owner_mark, states_folder
    from provision.fleet import reap
    from provision.state.folder import State

    seen: dict[str, tuple[str, Any]] = {}
    by_machine: dict[str, Provider] = {}
    unseen: list[str] = []
    states = states_folder(PROJECT)
    for spec in specs:
        for name in sorted({group.provider for group in spec.groups} - {"existing"}):  # they never end
            try:
                provider = providers.load(name, spec)
                for machine in provider.everything():
                    seen.setdefault(machine.provider_id, (name, machine))
                    by_machine.setdefault(machine.provider_id, provider)
            except MusterError as error:
                what = f"{name} of {spec.path.name}: {error}"
                say(f"left out: {what}")
                if spec is specs[0] or State(states / spec.name).exists():  # else an account nobody uses here
                    unseen.append(what)
    known = [identity.id for path in states.glob("*/") if (identity := State(path).identity())]
    doomed = reap.choose(seen.values(), known=known, mark=owner_mark(states), now=time.time())
    return [each for each in doomed if not names or each.cluster.name in names], by_machine, unseen


def _delete(
    doomed: list[Doomed], by_machine: dict[str, Provider], specs: list[ClusterSpec]
) -> dict[str, MusterError]:
    """Delete all of it; return what went wrong, by cluster id."""
    from provision.cluster.open import open_cluster
    from provision.fleet import reap
    from provision.providers.local.stores import store_close

    failed: dict[str, MusterError] = {}
    for each in doomed:
        try:
            cluster = next(
                (open_cluster(spec, root=PROJECT) for spec in specs if spec.name == each.cluster.name), None
            )
            if cluster is not None and cluster.state.identity() == each.cluster:
                cluster.destroy(force=True)
            else:
                reap.delete(each, by_machine[each.machines[0].provider_id])
                for store in {s.object_store.name for s in specs if s.object_store.kind == "local"}:
                    store_close(store, each.cluster)
            say(f"deleted {', '.join(machine.name for machine in each.machines)} ({each.cluster.name})")
        except MusterError as error:
            say(f"{each.cluster.name}: {error}")
            failed[each.cluster.id] = error
    return failed


def _told(each: Doomed, *, dry_run: bool, failed: dict[str, MusterError]) -> dict[str, Any]:
    error = failed.get(each.cluster.id)
    return {
        "cluster": each.cluster.name,
        "id": each.cluster.id,
        "provider": each.provider,
        "why": each.why,
        "deadline": each.deadline or None,
        "machines": [machine.name for machine in each.machines],
        "deleted": not dry_run and error is None,
        "error": str(error) if error else "",
    }
