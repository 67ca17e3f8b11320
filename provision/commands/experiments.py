"""experiments: runs side by side, each on a machine of its own."""

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
    """Add this module's command."""
    app.command(
        "experiments",
        epilog=examples(
            "experiments grid.yml --machines 3     three machines are made for it, and deleted",
            "experiments grid.yml --plan           what it would run",
        ),
    )(experiments)


def experiments(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.yml", help="What to run: docs/studies.md.")],
    machines: Annotated[int, typer.Option("--machines", "-m", min=1, max=100, help="Side by side.")] = 1,
    plan_only: Annotated[bool, typer.Option("--plan", help="Only show what would be run.")] = False,
    yes: Yes = False,
) -> None:
    """Run a list or grid of runs, each on a machine of its own; the machines go when the list is done.

    The same command again goes on where it was; what failed is a result. The table comes to
    results/experiments/NAME/.
    """
    from provision.commands.playbooks import play_or_fail
    from provision.studies import comparison
    from provision.studies.diary import Diary
    from provision.studies.experiments import load_experiments
    from provision.studies.machines import OnMachines
    from provision.studies.side_by_side import Study

    invocation = invocation_of(context)
    wanted = load_experiments(file)
    diary = Diary(PROJECT / "results" / "experiments" / wanted.name, "experiments")

    def play(books: Sequence[str], variables: Mapping[str, Any]) -> None:
        play_or_fail(books, invocation.inventory, variables)

    bench = OnMachines(wanted, invocation.view, play)
    bench.check()
    study = Study(wanted, diary, bench, say)
    left = study.left()
    count = min(machines, len(left))
    print_result(
        f"{wanted.name}: {len(left)} of {len(wanted.every)} runs of {wanted.job} on {count} machines"
    )
    if plan_only:
        for one in left:
            print_result(f"  {one}")
        return
    if left:
        confirm("Machines are made for it, and deleted at the end. Go on?", yes=yes)
        say(f"Should this computer be off at the end, they are {bench.afterwards()}.")
    with diary.locked():
        page = study.conduct(machines)
    found = comparison.rows(wanted, page)
    print_result(comparison.as_text(found))
    say(f"{comparison.write(found, diary.folder)}; the results of each run are in results/RUN/")
