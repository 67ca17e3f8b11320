"""runs: what was trained, also by clusters that are gone, side by side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson
from provision.commands.output import examples, print_json, print_result
from provision.core.progress import waiting
from provision.core.text import duration, table

if TYPE_CHECKING:
    from provision.jobs.queue import Queue

STATES = {"FINISHED": "succeeded", "FAILED": "failed", "KILLED": "cancelled", "RUNNING": "running"}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    runs = typer.Typer(
        invoke_without_command=True, rich_markup_mode=None,
        help="Compare what was trained, also by earlier clusters with the same object store.",
    )  # fmt: skip
    runs.callback()(list_tracked)
    runs.command("diff", epilog=examples("runs diff RUN RUN"))(diff)
    app.add_typer(
        runs,
        name="runs",
        epilog=examples(
            "runs                                  the newest",
            "runs --sort accuracy                  the best first; -METRIC: the smallest first",
            "runs --where 'metrics.accuracy > 0.9 and params.network = \"small\"'",
            "runs diff RUN RUN                     in what two differ",
        ),
    )


def list_tracked(
    context: typer.Context,
    sort: Annotated[
        str, typer.Option(metavar="METRIC", help="The largest first; -METRIC: the smallest.")
    ] = "",
    where: Annotated[str, typer.Option(metavar="CONDITION", help="Only these, as MLflow searches.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    every: Annotated[bool, typer.Option("--all", help="Also runs within runs, such as trials.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs."""
    from provision.jobs import comparison

    if context.invoked_subcommand:
        return
    queue = _queue(context)
    with waiting("asking for runs"):
        found = comparison.tracked(queue, where=where)
    chosen = [run for run in found if every or not run["parent"]]
    chosen = (comparison.ranked(chosen, sort) if sort else chosen)[:limit]
    if as_json:
        print_json(chosen)
        return
    if not chosen:
        print_result("No tracked runs." if where else "No runs yet. ./muster submit baseline makes one")
        return
    given = comparison.telling(chosen)
    rows = []
    for run in chosen:
        metric = sort.removeprefix("-") or comparison.headline(run)
        value = run["metrics"].get(metric)
        shown = "" if value is None else f"{value:.6g}" if sort else f"{metric} {value:.4g}"
        rows.append((*_about(run), shown, given[run["id"]]))
    print_result(
        table(("RUN", "STATE", "BEGUN", "TOOK", "DATA", sort.removeprefix("-") or "RESULT", "WITH"), rows)
    )


def diff(
    context: typer.Context,
    one: Annotated[str, typer.Argument(help="A run; see ./muster runs.")],
    other: Annotated[str, typer.Argument(help="Another one.")],
    as_json: AsJson = False,
) -> None:
    """Show in what two runs differ: parameters, metrics, code, packages, machines."""
    from provision.jobs import comparison

    queue = _queue(context)
    with waiting("asking for runs"):
        first, second = comparison.tracked(queue, (one, other))
    found = list(comparison.differences(first, second))
    if as_json:
        print_json([dict(zip(("kind", "name", one, other), row, strict=True)) for row in found])
        return
    print_result(table(("", "", one, other), found) if found else f"{one} and {other} differ in nothing")


def _queue(context: typer.Context) -> Queue:
    from provision.jobs.comparison import require_tracking

    view = invocation_of(context).view()
    require_tracking(view.spec)
    return view.queue


def _about(run: Any) -> tuple[str, ...]:  # noqa: ANN401  JSON
    tags = run["tags"]
    data = " ".join(
        part for part in (tags.get("muster.dataset"), tags.get("muster.size")) if isinstance(part, str)
    )
    took = duration(run["seconds"]) if run["seconds"] else ""
    begun = f"{duration(time.time() - run['started'])} ago"
    return run["run"], STATES.get(run["status"], run["status"]), begun, took, data
