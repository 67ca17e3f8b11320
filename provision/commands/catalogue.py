"""Every command: its module, imported when the command is called, and its line of `./muster --help`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("init", "Write a new inventory file."),
    "up": ("up", "Make the cluster as wished and ready to train."),
    "demo": ("up", "From nothing to a trained model, here."),
    "status": ("status", "Nodes, addresses, roles, what runs."),
    "destroy": ("destroy", "Delete the machines; the data stays."),
    "plan": ("plan", "What `up` would create, keep, delete; what that costs."),
    "cost": ("plan", "What each cluster has cost so far."),
    "list": ("plan", "Every cluster on every configured provider."),
    "size": ("size", "Which cluster to rent for a job and its data."),
    "stop": ("stop", "Power the machines off; their disks stay."),
    "extend": ("stop", "Give the cluster more time."),
    "reap": ("reap", "Delete what has outlived its time."),
    "ssh": ("ssh", "Log in on a machine, or run one command there."),
    "run": ("ssh", "Run a command on all machines at once."),
    "put": ("ssh", "Copy to a machine or into HDFS."),
    "get": ("ssh", "Copy from a machine or out of HDFS."),
    "allow": ("allow", "Let an address reach a cluster in a cloud."),
    "submit": ("submit", "Send a job to the cluster and follow it."),
    "jobs": ("submit", "List the runs."),
    "logs": ("submit", "Print what a run has printed."),
    "cancel": ("submit", "Stop a run."),
    "runs": ("runs", "Compare what was trained, also by earlier clusters."),
    "verify": ("verify", "Prove that the cluster is ready."),
    "timeline": ("verify", "What the last run took how long for."),
    "notebook": ("notebook", "Open JupyterLab here, or reach the engines."),
    "ui": ("ui", "Open the web pages of HDFS and Spark here."),
    "launcher": ("launcher", "Open the form that classifies pictures here."),
    "ingest": ("ingest", "Bring a data set into the object store."),
    "adopt": ("adopt", "Work from here on a cluster that was started elsewhere."),
    "sweep": ("sweep", "Try a job on many clusters and layouts."),
    "experiments": ("experiments", "Many runs, each on its own machine."),
    "test": ("test", "Lint and test Muster itself."),
    "images": ("images", "Make, list or remove the images that nodes boot from."),
    "data": ("data", "List or delete what lies in the object store."),
    "access": ("access", "Who may log in: add, remove, list."),
}
"""Command -> (module, what it does), in the order in which the help shows them."""


class Catalogue(TyperGroup):
    """The commands of COMMANDS: names and lines at first, each whole when it is called."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  (typer's, passed on)
        super().__init__(**settings)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, short_help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401
        """Return a command's name, the whole command, and its arguments; typer calls this."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, whole(name) if name else found, rest


def whole(name: str) -> Any:  # noqa: ANN401  (typer does not export the type)
    """Return a command with its options and its help."""
    module = COMMANDS[name][0]
    family = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    import_module(f"provision.commands.{module}").register(family)
    return typer.main.get_group(family).commands[name]
