"""submit, jobs, logs, cancel, verify, timeline: what the cluster does and did."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from provision.commands.common import answer, answer_json, examples, known_size, of, say, table
from provision.core.errors import Unproved
from provision.core.text import ago

AsJson = Annotated[bool, typer.Option("--json", help="For a program to read.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "submit",
        short_help="Send a job to the cluster and follow it.",
        epilog=examples(
            "submit logistic_regression                    a built-in job (jobs/)",
            "submit train.py -- --epochs 5                 a program of your own and its arguments",
            "submit project/ --deps requirements.txt       a folder with main.py; packages for it",
            "submit app.jar --class org.example.Main       a jar",
            "submit 'hdfs dfs -du -h /datasets'            a shell command",
        ),
    )(submit)
    app.command("jobs", short_help="List the runs.", epilog=examples("jobs", "jobs --json"))(jobs)
    app.command(
        "logs",
        short_help="Print what a run has printed.",
        epilog=examples(
            "logs                the newest run", "logs RUN -f         follow it; fetch its results"
        ),
    )(logs)
    app.command("cancel", short_help="Stop a run.", epilog=examples("cancel RUN          see ./muster jobs"))(
        cancel
    )
    app.command(
        "verify",
        short_help="Prove that the cluster is ready.",
        epilog=examples(
            "verify", "verify --json       exit status: 0 ready, 1 something is short, 2 could not check"
        ),
    )(verify)
    app.command(
        "timeline",
        short_help="What the last run took how long for.",
        epilog=examples("timeline", "timeline --json"),
    )(timeline)


def submit(
    context: typer.Context,
    job: Annotated[
        str, typer.Argument(help="A built-in job, a Python file, a folder, a jar or a shell command.")
    ],
    args: Annotated[list[str] | None, typer.Argument(help="The job's own arguments, after --.")] = None,
    deps: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A requirements.txt for this run alone.")
    ] = None,
    main_class: Annotated[str, typer.Option("--class", metavar="NAME", help="A jar's main class.")] = "",
    size: Annotated[
        int | None, typer.Option("--image-size", help="Default: the size last staged.", callback=known_size)
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for its end.")] = False,
) -> None:
    """Send a job to the cluster and follow it; it goes on without this computer. Results come to results/."""
    from provision.jobs import runs as queue

    run = queue.submit(
        of(context).cluster(),
        job,
        args=args or [],
        deps=deps,
        main_class=main_class or None,
        follow=not detach,
        env={} if size is None else {"MUSTER_IMAGE_SIZE": str(size)},
    )
    if detach:
        answer(run)
        say(f"Follow it and fetch its results with ./muster logs {run} -f")


def jobs(context: typer.Context, as_json: AsJson = False) -> None:
    """List the runs, the newest first."""
    from provision.jobs import runs as queue

    runs = queue.list_runs(of(context).cluster())
    if as_json:
        answer_json(runs)
        return
    if not runs:
        answer("No runs yet. ./muster submit logistic_regression makes one")
        return
    answer(table(("RUN", "STATE", "SUBMITTED", "TOOK", "REASON"), [_job_row(run) for run in runs]))


def _job_row(run: dict[str, Any]) -> tuple[str, ...]:
    took = f"{run['seconds']:.0f} s" if run["seconds"] else ""
    return run["run"], run["state"], f"{ago(time.time() - run['submitted'])} ago", took, run["reason"]


def logs(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="Default: the newest run.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
) -> None:
    """Print what a run has printed; with -f until it ends, and then its results come to results/."""
    from provision.jobs import runs as queue

    queue.logs(of(context).cluster(), run or None, follow=follow)


def cancel(context: typer.Context, run: Annotated[str, typer.Argument(help="See ./muster jobs.")]) -> None:
    """Stop a run, or take it out of the queue."""
    from provision.jobs import runs as queue

    queue.cancel(of(context).cluster(), run)
    say(f"{run}: cancelled")


def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Prove that the cluster is ready: counts, an HDFS round trip, a Spark job, torch, the staged data."""
    from provision.commands.playbooks import play

    invocation = of(context)
    cluster = invocation.cluster()
    begin = time.time()
    play(["verify.yml"], invocation.inventory, {}, output_to_stderr=as_json)
    report = newest_report(cluster.state_dir / "reports", since=begin)
    if report is None:
        raise Unproved(
            what="could not be checked; the reason is above", where=cluster.spec.name, exit_status=2
        )
    if as_json:
        answer_json(report)
    if report["status"] != "ready":
        raise Unproved(
            what=f"not proved ready ({report['status']}); the table says why",
            where=cluster.spec.name,
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


def timeline(context: typer.Context, as_json: AsJson = False) -> None:
    """Print the phases of the last run and their seconds."""
    from provision.state import timeline as recorded

    cluster = of(context).cluster()
    phases = recorded.last_run(cluster.state_dir)
    if as_json:
        answer_json(phases)
        return
    if not phases:
        answer(f"{cluster.spec.name}: nothing recorded yet")
        return
    begin = min(phase["begin"] for phase in phases)
    rows = [
        (f"{phase['begin'] - begin:7.1f}", f"{phase['seconds']:7.1f}", phase["name"], phase.get("detail", ""))
        for phase in phases
    ]
    answer(table(("  AT s", " TOOK s", "PHASE", ""), rows))
