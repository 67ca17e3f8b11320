"""The proof, made on the master by root, that the queue of jobs reaches the machines at other providers."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from muster_node.proofs.plan import Check
from muster_node.queue import placing, records, wire
from muster_node.queue.placing import Machine

NAME = "Runs elsewhere"
KEY = Path("/etc/muster/queue_key")
NO_RUN = "verify-20000101-000000-0000"
REFUSED = 2
"""Exit status of a queue that knows of no such run: whoever says so can be asked."""
ANSWER_S = 30.0


def machines() -> list[Machine]:
    """Return those at other providers on which the queue puts runs."""
    found = placing.machines_of(records.settings()) if records.SETTINGS.exists() else []
    return [one for one in found if not one.near and not one.closed]


def reached(there: list[Machine]) -> tuple[bool, str]:
    """Ask each of them, as the queue does, of a run that it does not have."""
    with ThreadPoolExecutor(len(there)) as pool:
        silent = {one.name: why for one, why in zip(there, pool.map(_silence, there), strict=True) if why}
    found = f"{len(there) - len(silent)} of {len(there)} machines"
    return not silent, "; ".join([found, *(f"{name}: {why}" for name, why in silent.items())])


def check(there: list[Machine]) -> Check:
    """Return the check of these machines."""
    remedy = "Run start_cluster.yml, which lets the master in there, then main.yml"
    return Check(NAME, remedy, "the queue of jobs is answered", partial(reached, there))


def _silence(machine: Machine) -> str:
    """Return why a machine does not answer, '' when it does."""
    done = subprocess.run(
        ["ssh", *wire.arguments(machine, "follow", NO_RUN, "--no-wait", key=KEY)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_S, check=False,
    )  # fmt: skip
    lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    return "" if done.returncode == REFUSED else lines[-1]
