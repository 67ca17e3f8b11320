"""plan, cost, list: what there is and what it costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from provision.commands.invocation import invocation_of
from provision.commands.options import AsJson, Cores, MemoryGb, Nodes, wish
from provision.commands.output import examples, print_json, print_result, say
from provision.core.errors import ConfigError, MusterError, NotReady, PlanRefused, ProviderError
from provision.core.paths import PROJECT
from provision.core.progress import waiting
from provision.core.text import duration, moment, money, table


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(
        "plan",
        epilog=examples("plan", "plan -n 10 --json", "plan -n 2 --scale-in"),
    )(plan)
    app.command("cost", epilog=examples("cost", "cost --json"))(cost)
    app.command(
        "list",
        epilog=examples("list", "list --json", "-i ~/elsewhere/ec2.yml list    that file's providers too"),
    )(list_clusters)


def plan(
    context: typer.Context,
    nodes: Nodes = None,
    cores: Cores = None,
    memory_gb: MemoryGb = None,
    scale_in: Annotated[
        bool, typer.Option("--scale-in", help="Nodes may be deleted to get down to the wished size.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what `up` would create, keep, start and delete, and what that costs. Changes nothing.

    It asks providers for all that `up` asks for first. Exit status 1 when it would be refused, for example
    above `budget.max_hourly`.
    """
    from provision.cluster import sources
    from provision.cluster.ends import ending_words
    from provision.costs import offer

    invocation = invocation_of(context)
    cluster = invocation.cluster(invocation.spec(wish(nodes, cores, memory_gb)))
    refusal: MusterError | None = None
    not_asked: list[str] = []
    with waiting("asking providers for machines and prices"):
        found = cluster.view.offer(scale_in=scale_in)
        try:
            not_asked = cluster.ready(found.plan)
        except (ConfigError, NotReady, ProviderError) as error:
            refusal = error
    if found.plan.refuse:
        refusal = PlanRefused(where=cluster.spec.name, what="; ".join(found.plan.refuse))
    if as_json:
        print_json(offer.as_json(cluster.spec.name, found) | {"not_asked": not_asked})
    else:
        ends = ending_words(cluster.spec, cluster.view.deadline)
        for line in [*offer.lines(found), *not_asked, *ends, *sources.warnings(cluster.spec)]:
            print_result(line)
    if refusal:
        raise refusal


def cost(as_json: AsJson = False) -> None:
    """Show what each cluster has cost so far, those included that are destroyed.

    By list prices and the machines' time; what you pay is on the provider's bill.
    """
    from provision.fleet import spent

    found = spent.spent(_states(), time.time())
    if as_json:
        print_json(
            [
                {
                    "cluster": one.cluster,
                    "id": one.id,
                    "began": one.began,
                    "ended": one.ended,
                    "providers": one.providers,
                    "machines": one.tally.machines,
                    "machine_hours": round(one.tally.hours, 4),
                    "dollars": round(one.tally.dollars, 4),
                    "hours_of_unknown_price": round(one.tally.unknown_hours, 4),
                    "hourly": one.hourly,
                }
                for one in found
            ]
        )
        return
    if not found:
        print_result("No cluster has cost anything yet.")
        return
    rows = [
        (
            one.cluster,
            one.id,
            ", ".join(one.providers),
            "" if one.began is None else moment(one.began),
            "now" if one.ended is None else moment(one.ended),
            one.tally.machines,
            f"{one.tally.hours:.1f}",
            "" if one.ended else money(one.hourly),
            _cost(one.tally.dollars, one.tally.unknown_hours),
        )
        for one in found
    ]
    header = ("CLUSTER", "ID", "PROVIDERS", "FROM", "TO", "MACHINES", "HOURS", "$/H NOW", "COST")
    total = sum(one.tally.dollars for one in found), sum(one.tally.unknown_hours for one in found)
    print_result(table(header, [*rows, ("total", "", "", "", "", "", "", "", _cost(*total))]))
    if any(total):
        print_result(
            "By list prices and time, before taxes, traffic and rounding; the provider's bill decides."
        )


def list_clusters(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every cluster on every provider that a config file names, found by its tag."""
    from provision.fleet import overview

    specs, unread = overview.configs(invocation_of(context).files())
    with waiting("asking all providers"):
        found = overview.look(specs, _states())
    problems = [*unread, *map(str, found.not_asked)]
    now = time.time()
    if as_json:
        print_json(
            {
                "clusters": [
                    {
                        "cluster": one.cluster,
                        "id": one.id,
                        "provider": one.provider,
                        "machines": {machine.name: machine.state for machine in one.machines},
                        "age_s": one.age(now),
                        "hourly": one.hourly,
                        "state_here": one.here,
                    }
                    for one in found.clusters
                ],
                "problems": problems,
            }
        )
        return
    rows = [
        (
            one.cluster,
            one.id,
            one.provider,
            one.states,
            "" if (age := one.age(now)) is None else duration(age),
            money(one.hourly) if one.machines else "",
            "here" if one.here else f"not here: ./muster adopt {one.cluster}",
        )
        for one in found.clusters
    ]
    print_result(table(("CLUSTER", "ID", "PROVIDER", "MACHINES", "AGE", "$/H", "STATE"), rows))
    for problem in problems:
        say(problem)


def _states() -> Path:
    from provision.core.paths import states_folder

    return states_folder(PROJECT)


def _cost(dollars: float, unknown_hours: float) -> str:
    if not unknown_hours:
        return f"${dollars:.2f}" if dollars else "free"
    return f"at least ${dollars:.2f} ({unknown_hours:.1f} h of unknown price)"
