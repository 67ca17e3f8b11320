"""verify, timeline: the proof that a cluster is ready, and what its last run took how long for."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson
from provision.commands.output import examples, print_json, print_result
from provision.core.errors import Unproved
from provision.core.text import table

if TYPE_CHECKING:
    from provision.core.spec import ClusterSpec

SHOWN_S = 0.5
"""Shorter parts of a bake are shown together."""


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "verify",
        epilog=examples(
            "verify", "verify --json       exit status: 0 ready, 1 something is short, 2 could not check"
        ),
    )(verify)
    app.command(
        "timeline",
        epilog=examples("timeline", "timeline --json", "timeline --bake     the parts of its images' making"),
    )(timeline)


def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Prove that the cluster is ready: counts, an HDFS round trip, a Spark job, torch, the staged data."""
    from provision.commands.playbooks import play

    invocation = invocation_of(context)
    view = invocation.view()
    begin = time.time()
    play(["verify.yml"], invocation.inventory, {}, output_to_stderr=as_json)
    report = newest_report(view.state.reports, since=begin)
    if report is None:
        raise Unproved(what="could not be checked; the reason is above", where=view.spec.name, exit_status=2)
    if as_json:
        print_json(report)
    if report["status"] != "ready":
        raise Unproved(
            what=f"not proved ready ({report['status']}); the table says why",
            where=view.spec.name,
            exit_status=report["exit_status"],
        )


def newest_report(folder: Path, *, since: float) -> dict[str, Any] | None:
    """Return the verify report written after `since` (seconds since the epoch); None when there is none."""
    written = (
        [(path.stat().st_mtime, path) for path in folder.glob("verify*.json")] if folder.is_dir() else []
    )
    newest = max(written, default=None)
    if newest is None or newest[0] < since - 1:
        return None
    found = json.loads(newest[1].read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else None


def timeline(
    context: typer.Context,
    as_json: AsJson = False,
    bake: Annotated[
        bool, typer.Option("--bake", help="What making the images on this computer took, by part.")
    ] = False,
) -> None:
    """Print the phases of the last run and their seconds."""
    from provision.state import timeline as recorded

    if bake:
        _print_bakes(invocation_of(context).spec(), as_json=as_json)
        return
    view = invocation_of(context).view()
    phases = recorded.last_run(view.state.folder)
    if as_json:
        print_json(phases)
        return
    if not phases:
        print_result(f"{view.spec.name}: nothing recorded yet")
        return
    begin = min(phase["begin"] for phase in phases)
    rows = [
        (f"{phase['begin'] - begin:7.1f}", f"{phase['seconds']:7.1f}", phase["name"], phase.get("detail", ""))
        for phase in phases
    ]
    print_result(table(("  AT s", " TOOK s", "PHASE", ""), rows))


def _print_bakes(spec: ClusterSpec, *, as_json: bool) -> None:
    """Print the seconds of each layer that the cluster's machines on this computer start from."""
    from provision.cluster import baking
    from provision.images.recipe import node_recipe, store_recipe

    nodes = [node_recipe(spec, one) for one in spec.groups]
    layers = [*(recipe.beneath for recipe in nodes), *nodes, store_recipe()]
    named = {recipe.key: recipe for recipe in layers if recipe}
    known = {key: took for key, recipe in named.items() if (took := baking.seconds_of(recipe))}
    if as_json:
        print_json(known)
        return
    if not known:
        print_result(f"{spec.name}: this computer has no image for it whose making was recorded")
    for key, took in known.items():
        rows = [(f"{seconds:7.1f}", part) for part, seconds in took.items() if seconds >= SHOWN_S]
        rest = sum(took.values()) - sum(seconds for seconds in took.values() if seconds >= SHOWN_S)
        rows += [(f"{rest:7.1f}", "the rest"), (f"{sum(took.values()):7.1f}", "in all")]
        print_result(
            table((" TOOK s", f"PART OF {key} ({', '.join(named[key].features or named[key].roles)})"), rows)
        )
