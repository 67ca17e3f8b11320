"""Before machines go: what MLflow knows of the cluster's runs is saved in the object store."""

from __future__ import annotations

from provision.cluster.run import Run
from provision.core.model import NodeState
from provision.core.names import MASTER

SAVE_S = 25
"""Seconds that the master may take; after each run it has saved all but what came since."""
SAVE = f"timeout {SAVE_S} sh -c 'systemctl start muster-tracking && systemctl start muster-tracking-save'"


def save(run: Run) -> None:
    """Have the master save its history; one that is off or silent stops nobody, and is told."""
    if "tracking" not in run.spec.features:
        return
    machines = run.state.load().machines
    masters = [each.name for each in machines if each.group == MASTER and each.state is NodeState.RUNNING]
    for name, why in run.reach.run_as_root(run.state, masters, SAVE).items() if masters else ():
        reason = why.strip() or "no answer in time"
        run.reporter.say(f"{name}: tracked runs are as they were saved after the last one ({reason})")
