"""Times the journey of a local cluster and prints a table; see README.md beside this file."""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench.machines import registry, until_registered

ROOT = Path(__file__).resolve().parents[1]
RUN = re.compile(r"\b\w+-\d{8}-\d{6}-[0-9a-f]{4}\b")
FLOOR_S = 300


@dataclass
class Table:
    """Lines of what was measured."""

    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, what: str, value: str) -> None:
        """Append a line and show it at once."""
        self.rows.append((what, value))
        print(f"  {what} … {value}", file=sys.stderr, flush=True)

    def __str__(self) -> str:
        width = max(len(what) for what, _ in self.rows)
        return "\n".join(f"{what:<{width}}  {value:>12}" for what, value in self.rows)


class Bench:
    """One cluster with a name, a state folder and an object store of its own."""

    def __init__(self, folder: Path, nodes: int, size: int) -> None:
        self.runs: set[str] = set()
        self.name = f"bench{secrets.token_hex(2)}"
        self.size = size
        self.config = folder / f"{self.name}.yml"
        self.state = folder / "state"
        config = {
            "plugin": "cluster",
            "cluster": self.name,
            "provider": "local",
            "nodes": nodes,
            "groups": {
                "master": {"cores": 2, "memory_gb": 3, "data_disk_gb": 20},
                "worker": {"cores": 2, "memory_gb": 2, "data_disk_gb": 20},
            },
            "object_store": {"name": self.name},
            "dataset": {"source": "digits"},
        }
        self.config.write_text(yaml.safe_dump(config, sort_keys=False))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {"MUSTER_STATE": str(self.state), "PATH": path}

    def run(self, *command: str) -> float:
        """Run a command to its end; return its seconds. Ends the bench when it fails."""
        begin = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.runs |= set(RUN.findall(done.stdout.decode(errors="replace")))
        if done.returncode:
            sys.exit(f"{done.stdout.decode(errors='replace')[-4000:]}\n{' '.join(command)} failed")
        return time.monotonic() - begin

    def play(self, playbook: str, *more: str) -> float:
        """Run a playbook; return its seconds."""
        return self.run("ansible-playbook", "-i", str(self.config), playbook, *more)

    def main(self) -> tuple[float, float, float]:
        """Run main.yml; return the seconds until all daemons are registered, the data there, all verified."""
        begin = time.time()
        took = self.play("main.yml", "-e", f"IMAGE_SIZE={self.size}")
        lines = (self.state / self.name / "timeline.jsonl").read_text().splitlines()
        begun = {
            each["name"]: each["begin"] - begin for each in map(json.loads, lines) if each["begin"] >= begin
        }
        return begun["Data"], begun["Verified"], took

    def units(self) -> set[str]:
        """Return the units of this cluster's machines and of its store's."""
        known = registry()
        store = known["stores"][self.name]["network_id"]
        return {
            node["unit"] for node in known["nodes"].values() if node["cluster_id"] == store or self.has(node)
        }

    def memory_mib(self) -> float:
        """Return the memory of all processes of cluster and store: proportional set size, MiB."""
        units, total = self.units(), 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                group = (folder / "cgroup").read_text()
                if any(unit in group for unit in units):
                    found = re.search(r"^Pss:\s+(\d+)", (folder / "smaps_rollup").read_text(), re.MULTILINE)
                    total += int(found[1]) if found else 0
            except OSError:
                continue
        return total / 1024

    def floor(self, nodes: int) -> float:
        """Return the seconds until all have registered when the stopped machines merely boot.

        All is configured and enabled on their disks, and no Ansible runs: what a start costs at least.
        """
        from provision.providers.local import client

        self.play("stop_cluster.yml")
        ours = {node["name"]: node for node in registry()["nodes"].values() if self.has(node)}
        master = ours[f"{self.name}-master"]
        begin = time.monotonic()
        client.call("start", {"cluster_id": master["cluster_id"], "names": sorted(ours)})
        subprocess.run(until_registered(master, nodes), check=True, timeout=FLOOR_S)
        return time.monotonic() - begin

    def has(self, node: Mapping[str, Any]) -> bool:
        """Return whether a machine of the registry is one of this cluster."""
        return str(node["name"]).startswith(f"{self.name}-")

    def close(self) -> None:
        """Take everything away."""
        from provision.providers.local.stores import store_remove

        self.play("destroy_cluster.yml")
        if self.name in registry()["stores"]:
            store_remove(self.name)
        for run in self.runs:
            shutil.rmtree(ROOT / "results" / run, ignore_errors=True)


def machine() -> str:
    """Return what was measured on."""
    text = Path("/proc/meminfo").read_text()
    memory = int(re.search(r"MemTotal:\s+(\d+)", text)[1]) / 2**20  # type: ignore[index]
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    load = os.getloadavg()[0]
    cpu = model[1] if model else "unknown"
    return f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, load before {load:.1f}"


def warm(folder: Path, nodes: int, size: int, table: Table) -> None:
    """Measure with images and preprocessed data in place."""
    bench = Bench(folder, nodes, size)
    try:
        first = bench.play("start_cluster.yml") + bench.main()[2]
        table.add("first start + main (images, data made)", f"{first:.1f} s")
        table.add("destroy", f"{bench.play('destroy_cluster.yml'):.1f} s")
        start = bench.play("start_cluster.yml")
        registered, staged, verified = bench.main()
        table.add("start_cluster.yml", f"{start:.1f} s")
        table.add("start + main to registered", f"{start + registered:.1f} s")
        table.add("start + main to data staged", f"{start + staged:.1f} s")
        table.add("start + main to verified", f"{start + verified:.1f} s")
        table.add("second main.yml", f"{bench.main()[2]:.1f} s")
        table.add("memory of idle cluster + store (PSS)", f"{bench.memory_mib():.0f} MiB")
        job = bench.play("submit.yml", "-e", "JOB=logistic_regression")
        table.add("logistic_regression", f"{job:.1f} s")
        least = bench.floor(nodes)
        table.add("machines boot, no Ansible, to registered (the floor)", f"{least:.1f} s")
        table.add("start + main to registered, in floors", f"{(start + registered) / least:.2f}")
        table.add("destroy", f"{bench.play('destroy_cluster.yml'):.1f} s")
    finally:
        bench.close()


def cold(folder: Path, nodes: int, table: Table) -> None:
    """Measure `./muster demo` in a fresh clone, with an empty /var/lib/muster of its own (needs root)."""
    clone, empty = folder / "clone", folder / "var"
    empty.mkdir()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    script = (
        'mkdir -p /var/lib/muster && mount --bind "$1" /var/lib/muster && cd "$2" && ./muster demo -n "$3"'
    )
    script += " && touch demo-done; ./muster destroy --yes"
    environment = os.environ | {"PIP_NO_CACHE_DIR": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    begin = time.monotonic()
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", script, "sh", str(empty), str(clone), str(nodes)],
        env=environment,
        stdout=sys.stderr.fileno(),
    )
    while process.poll() is None and not (clone / "demo-done").exists():
        time.sleep(0.1)
    seconds = time.monotonic() - begin
    process.wait()
    table.add(
        "fresh clone, no cache, to trained model", f"{seconds:.0f} s" if process.returncode == 0 else "failed"
    )


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=3, help="master + workers (default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=16, help="pixels a side (default: %(default)s)")
    parser.add_argument(
        "--cold", action="store_true", help="also a fresh clone without caches (minutes; needs root)"
    )
    arguments = parser.parse_args()
    on = machine()
    table = Table()
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as name:
        folder = Path(name)
        if arguments.cold:
            cold(folder, arguments.nodes, table)
        warm(folder, arguments.nodes, arguments.image_size, table)
    print(f"{on}; {arguments.nodes} nodes, images of {arguments.image_size}x{arguments.image_size}\n{table}")


if __name__ == "__main__":
    main()
