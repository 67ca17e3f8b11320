"""submit, jobs, logs, cancel: work for the cluster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson, known_size
from provision.commands.output import examples, print_json, print_result, say
from provision.core.paths import PROJECT
from provision.core.text import duration, table


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "submit",
        epilog=examples(
            "submit logistic_regression iterations=50      a built-in job (jobs/) and a parameter",
            "submit logistic_regression help               its parameters",
            "submit --example logistic_regression mine/    a copy of it, as a start",
            "submit train.py -- --epochs 5                 a program of your own and its arguments",
            "submit project/ --deps requirements.txt       a folder with main.py; packages for it",
            "submit app.jar --class org.example.Main       a jar",
            "submit 'hdfs dfs -du -h /datasets'            a shell command",
            "submit cnn --on gpu                           on one machine of a group, beside other runs",
            "submit train.py --on worker --cores 1         on a share of one",
        ),
    )(submit)
    app.command("jobs", epilog=examples("jobs", "jobs --json"))(jobs)
    app.command(
        "logs",
        epilog=examples(
            "logs                the newest run", "logs RUN -f         follow it; fetch its results"
        ),
    )(logs)
    app.command("cancel", epilog=examples("cancel RUN          see ./muster jobs"))(cancel)


def submit(
    context: typer.Context,
    job: Annotated[
        str, typer.Argument(help="A built-in job, a Python file, a folder, a jar or a shell command.")
    ],
    args: Annotated[
        list[str] | None,
        typer.Argument(help="Parameters of a built-in job (name=value); a program's arguments after --."),
    ] = None,
    deps: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A requirements.txt for this run alone.")
    ] = None,
    main_class: Annotated[str, typer.Option("--class", metavar="NAME", help="A jar's main class.")] = "",
    size: Annotated[
        int | None, typer.Option("--image-size", help="Default: the last one asked for.", callback=known_size)
    ] = None,
    on: Annotated[
        str, typer.Option(metavar="GROUP", help="On one machine of this group, not on the whole cluster.")
    ] = "",
    cores: Annotated[
        int, typer.Option(min=0, help="Of that machine; others may share it.", show_default=False)
    ] = 0,
    memory: Annotated[
        float, typer.Option(metavar="GIB", min=0, help="Of that machine.", show_default=False)
    ] = 0,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for its end.")] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Copy a built-in job into a new folder; nothing is sent.")
    ] = False,
) -> None:
    """Send a job to the cluster and follow it; it goes on without this computer. Results come to results/."""
    from provision.jobs import builtin, runs
    from provision.jobs.request import Where

    if example:
        folder = Path(args[0] if args else job)
        print_result("\n".join(f"{folder}/{name}" for name in builtin.write_example(PROJECT, job, folder)))
        say(f"Change it, then ./muster submit {folder}/")
        return
    if args == [builtin.HELP] and job in builtin.builtin_jobs(PROJECT):
        print_result(builtin.parameters_help(PROJECT, job))
        return
    view = invocation_of(context).view()
    run = runs.submit(
        view.queue,
        job,
        deadline=view.deadline,
        args=args or [],
        deps=deps,
        main_class=main_class or None,
        follow=not detach,
        image_size=size,
        where=Where(on, cores, memory),
    )
    if detach:
        print_result(run)
        say(f"Follow it and fetch its results with ./muster logs {run} -f")


def jobs(context: typer.Context, as_json: AsJson = False) -> None:
    """List the runs, the newest first."""
    from provision.jobs import runs

    found = runs.list_runs(invocation_of(context).view().queue)
    if as_json:
        print_json(found)
        return
    if not found:
        print_result("No runs yet. ./muster submit logistic_regression makes one")
        return
    header = ("RUN", "STATE", "SUBMITTED", "TOOK", "WHERE", "PROGRESS, OR REASON")
    print_result(table(header, [_job_row(run) for run in found]))


def _job_row(run: dict[str, Any]) -> tuple[str, ...]:
    took = f"{run['seconds']:.0f} s" if run["seconds"] else ""
    began = f"{duration(time.time() - run['submitted'])} ago"
    where = (run.get("node") or run["on"]) if run.get("on") else "cluster"
    return run["run"], run["state"], began, took, where, run.get("progress") or run["reason"]


def logs(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="Default: the newest run.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
) -> None:
    """Print what a run has printed; with -f until it ends, and then its results come to results/."""
    from provision.jobs import runs

    runs.logs(invocation_of(context).view().queue, run or None, follow=follow)


def cancel(context: typer.Context, run: Annotated[str, typer.Argument(help="See ./muster jobs.")]) -> None:
    """Stop a run, or take it out of the queue."""
    from provision.jobs import runs

    runs.cancel(invocation_of(context).view().queue, run)
    say(f"{run}: cancelled")
