"""sweep: one job over shapes of a cluster, layouts of Spark and sizes of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import Yes
from provision.commands.output import confirm, examples, print_result, say
from provision.core.paths import PROJECT


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "sweep",
        epilog=examples(
            "sweep sweeps/2015.yml              nodes x cores x memory, as in 2015",
            "sweep sweeps/2015.yml --plan       what it would do; machine operations, hours, price",
            "-i inventories/ec2.yml sweep my.yml --yes",
        ),
    )(sweep)


def sweep(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.yml", help="What to try: docs/sizing.md.")],
    plan_only: Annotated[bool, typer.Option("--plan", help="Only show what would be done.")] = False,
    yes: Yes = False,
) -> None:
    """Run a job on every combination of a file; the cluster grows, shrinks and is reshaped for it.

    The same command again goes on where it was; what failed is a result. Table and plot come to
    results/sweeps/NAME/.
    """
    from provision.commands.playbooks import play_or_fail
    from provision.studies import conduct, report
    from provision.studies.diary import Diary
    from provision.studies.on_cluster import OnCluster
    from provision.studies.sweep import load_sweep

    invocation = invocation_of(context)
    wanted = load_sweep(file)
    diary = Diary(PROJECT / "results" / "sweeps" / wanted.name)

    def play(books: Sequence[str], variables: Mapping[str, Any]) -> None:
        play_or_fail(books, invocation.inventory, variables)

    bench = OnCluster(wanted, invocation.view, play, say)
    bench.check()
    plan = conduct.outlook(wanted, diary.read(), bench)
    for line in plan.lines(wanted):
        print_result(line)
    if plan_only:
        return
    if plan.left:
        confirm("Workers are made and deleted for it, with their part of HDFS. Go on?", yes=yes)
    with diary.locked():
        page = conduct.conduct(wanted, diary, bench, say)
        places = report.write(wanted, page, diary.folder)
    for line in report.comparisons(report.measured(wanted, page)):
        print_result(line)
    say(f"{', '.join(map(str, places))}; the cluster stays as it is: ./muster destroy")
