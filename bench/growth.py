"""What one machine more costs clusters of 3, 15 and 50 that are not there; see README.md beside this file.

Run it as `.venv/bin/python -m bench.growth`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench import scale
from tests.fakes.pond import given, pond

SIZES = (3, 15, 50)
FACTOR = 1.2
"""The dearest may cost so many times what the cheapest does."""
HEAD = ("nodes", "calls", "journal", "CPU s", "tasks of an old one", "of all old ones", "services.yml, CPU s")
SSH = Path(__file__).with_name("paper_ssh.sh")


@dataclass(frozen=True)
class More:
    """What one machine more took: calls of the API, lines of the journal, CPU seconds of the process."""

    calls: int
    lines: int
    cpu_s: float


def main() -> int:
    """Measure; return 1 when calls, lines of the journal or tasks of an old machine grow with the cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, action="append", help=f"instead of {SIZES}")
    sizes = parser.parse_args().nodes or SIZES
    tasks = {nodes: of_an_old_one(nodes) for nodes in sizes}
    services = {nodes: services_cpu_s(nodes + 1) for nodes in sizes}
    costs = {"tasks of an old machine": [*tasks.values()]}
    for provider in ("ec2", "softlayer"):
        print(f"{provider}, one machine more; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print("  ".join(HEAD))
        found = {nodes: one_more(provider, nodes) for nodes in sizes}
        for nodes, more in found.items():
            old = tasks[nodes]
            row = (nodes, more.calls, more.lines, f"{more.cpu_s:.2f}", old, nodes * old, services[nodes])
            print("  ".join(f"{one:>{len(head)}}" for one, head in zip(row, HEAD, strict=True)), flush=True)
        costs[f"calls of {provider}"] = [more.calls for more in found.values()]
        costs[f"lines of the journal, {provider}"] = [more.lines for more in found.values()]
    missed = {what: seen for what, seen in costs.items() if max(seen) > FACTOR * min(seen)}
    for what, seen in missed.items():
        print(f"missed: {what} grow: {seen}")
    return 1 if missed else 0


def one_more(provider: str, nodes: int) -> More:
    """Add a machine to a cluster that is on paper."""
    with tempfile.TemporaryDirectory() as name, scale.ACCOUNTS[provider](Path(name)) as leads:
        folder = Path(name)
        file, result = folder / "scale.yml", folder / "calls.json"
        journal = folder / "state" / "scale" / "journal.jsonl"
        file.write_text(yaml.safe_dump(scale.configuration(provider, nodes, leads)))
        command = [sys.executable, scale.__file__, "--step", "create", str(file), str(result), "--nodes"]
        environment, before = {**leads, "MUSTER_STATE": str(folder / "state")}, 0
        for size in (nodes, nodes + 1):
            before = len(journal.read_text().splitlines()) if journal.exists() else 0
            spent = scale.in_a_process([*command, str(size)], environment)
        calls = sum(json.loads(result.read_text()).values())
        return More(calls, len(journal.read_text().splitlines()) - before, spent.cpu)


def of_an_old_one(nodes: int) -> int:
    """Return how many tasks start_cluster.yml and main.yml give to a worker when a machine is added."""
    with tempfile.TemporaryDirectory() as folder:
        found, _ = given(pond(Path(folder), nodes + 1), "start_cluster.yml", "main.yml")
    old = found["pond-worker-1"]
    return old.runs + old.validations


def services_cpu_s(nodes: int) -> float:
    """Return what this computer spends, seconds of CPU, on services.yml where nothing is to be changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = pond(folder, nodes)
        (folder / "ssh").symlink_to(SSH)
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(config)]
        environment = {"PATH": f"{folder}:{os.environ['PATH']}", "MUSTER_STATE": str(folder / "state")}
        return round(scale.in_a_process([*command, "playbooks/services.yml"], environment).cpu, 1)


if __name__ == "__main__":
    sys.exit(main())
