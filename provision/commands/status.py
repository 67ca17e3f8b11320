"""status: machines, what runs on them, when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from provision.commands.invocation import invocation_of, state_folder
from provision.commands.options import AsJson
from provision.commands.output import examples, in_parallel, print_json, print_result
from provision.core.model import NodeState
from provision.core.names import MASTER
from provision.core.progress import waiting
from provision.core.text import table
from provision.planning.nodes import roles

if TYPE_CHECKING:
    from provision.cluster.view import ClusterView
    from provision.core.model import Node


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("status", epilog=examples("status", "status --json"))(status)


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show nodes, states, addresses, roles, web pages and what runs."""
    from provision.cluster.ends import ending_words, stopped_words
    from provision.services import live

    invocation = invocation_of(context)
    spec = invocation.spec()

    def listed() -> tuple[ClusterView, tuple[Node, ...], list[str]]:
        view = invocation.view(spec)
        return view, view.nodes, view.cut_off()

    with waiting(f"asking the machines of {spec.name}"):
        report, (view, nodes, faults) = in_parallel(
            lambda: live.look(state_folder(spec.name), spec.name), listed
        )
    wish = view.wish or spec.nodes
    if as_json:
        known = live.as_json(spec.name, wish, nodes, report)
        print_json({**known, "deadline": view.deadline or None})
        return
    if not nodes:
        print_result(f"{spec.name}: no machines. Start it with ./muster up")
        return
    rows = [
        (
            node.name,
            node.machine.state,
            node.address,
            f"{node.group.cores}",
            f"{node.group.memory_gb:g} GiB",
            ", ".join(roles(node)),
        )
        for node in nodes
    ]
    print_result(f"{spec.name}: {len(nodes)} machines, wished size {wish}")
    print_result(table(("NODE", "STATE", "ADDRESS", "CORES", "MEMORY", "ROLES"), rows))
    off = all(node.machine.state == NodeState.STOPPED for node in nodes)
    ends = stopped_words(spec) if off else ending_words(spec, view.deadline)
    kept_back = [f"{fault}; ./muster up puts that right" for fault in faults]
    asked = next((node.machine.state for node in nodes if node.group.name == MASTER), None)
    runs = live.lines(report) if asked == NodeState.RUNNING else []
    for line in [*kept_back, *runs, *ends]:
        print_result(line)
