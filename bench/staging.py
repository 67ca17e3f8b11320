"""Times staging on a local cluster against a bare download to disk on the same nodes; see README.md.

Run it as `.venv/bin/python -m bench.staging`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.journey import Bench, Table, machine
from bench.machines import cpu_s

PYTHON = "/opt/muster/venv/bin/python"
# What the nodes run: `fill` writes a set of so many objects of so many bytes, `bare` downloads a share of it.
PROGRAM = """
import hashlib, os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from muster_node import sets
from muster_node.staging.plan import Job, deal, pieces, staged_files
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store
verb, name, *more = sys.argv[1:]
store = open_store(Settings.load())
if verb == "fill":
    count, size = map(int, more)
    def fill(number):
        content = os.urandom(size)
        key = f"{name}/train_16/part-{number:05d}.csv.gz"
        store.put(key, content)
        return sets.SetFile(key, size, hashlib.sha256(content).hexdigest(), 1)
    with ThreadPoolExecutor(8) as pool:
        objects = list(pool.map(fill, range(count)))
    made = sets.Manifest(dataset=name, set="train_16", rows=count, bytes=count * size, objects=objects)
    store.put(sets.manifest_key(name, "train", 16), made.to_json().encode())
else:
    index, count = map(int, more)
    objects = sets.Manifest.from_json(store.get(sets.manifest_key(name, "train", 16))).objects
    found = [Job("", "", piece) for piece in pieces(staged_files(objects), cut=True)]
    folder = Path("/data/scratch/bare")
    folder.mkdir()
    def bare(job):
        with (folder / job.piece.name).open("wb") as target:
            if job.piece.whole:
                for member in job.piece.file.members:
                    for block in store.blocks(member.key):
                        target.write(block)
            else:
                key = job.piece.file.members[0].key
                target.write(store.get_range(key, job.piece.start, job.piece.length))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(bare, deal(found, count)[index]))
"""

PUT = (
    "cd /data/scratch/bare && ls | xargs -P 8 -I FILE curl -sSfL -T FILE "
    "'http://{master}:9870/webhdfs/v1/tmp/bench/FILE?op=CREATE&user.name=hadoop&replication={copies}'"
)


@dataclass(frozen=True)
class Cost:
    """What something took: seconds, and processor seconds of store and nodes together."""

    wall: float
    cpu: float


class Nodes:
    """Commands on all machines of a cluster at once, as the user `hadoop`."""

    def __init__(self, bench: Bench, count: int) -> None:
        self._config = bench.state / bench.name / "ssh_config"
        self._units = bench.units()
        self.names = [f"{bench.name}-master", *(f"{bench.name}-worker-{n}" for n in range(1, count))]
        for name in self.names:
            self.ssh(name, "cat > /tmp/bench.py", PROGRAM)

    def ssh(self, name: str, command: str, text: str = "") -> str:
        """Run a command on one machine; return what it prints. Raises CalledProcessError."""
        words = ["ssh", "-F", str(self._config), "-l", "hadoop", name, command]
        return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout

    def all(self, command: str) -> None:
        """Run a command everywhere, with {index} and {count} filled in."""
        with ThreadPoolExecutor(len(self.names)) as pool:
            lines = [command.format(index=at, count=len(self.names)) for at in range(len(self.names))]
            list(pool.map(self.ssh, self.names, lines))

    def cost(self, *acts: Callable[[], object]) -> Cost:
        """Do something; return what it took."""
        begin, used = time.monotonic(), self._cpu_s()
        for act in acts:
            act()
        return Cost(time.monotonic() - begin, self._cpu_s() - used)

    def _cpu_s(self) -> float:
        """Return the processor time of all machines of cluster and store until now."""
        return sum(map(cpu_s, self._units))


def measure(nodes: Nodes, table: Table, objects: int, size: int, copies: int, rounds: int) -> float:
    """Download, put and stage a set of so many objects of `size` bytes; return the best staging's seconds."""
    name, total, master = f"b{objects}", objects * size / 2**20, nodes.names[0]
    nodes.ssh(master, f"{PYTHON} /tmp/bench.py fill {name} {objects} {size}")
    stage = f"/opt/muster/bin/muster-stage VERB --dataset {name} --size 16 --namenode http://{master}:9870"
    stage += f" --copies {copies}"
    fetch = stage.replace("VERB", "fetch") + " --index {index} --count {count}"
    took: dict[str, list[Cost]] = {"bare": [], "put": [], "staged": []}
    for _ in range(rounds):
        download = f"{PYTHON} /tmp/bench.py bare {name} {{index}} {{count}}"
        took["bare"].append(nodes.cost(partial(nodes.all, download)))
        took["put"].append(nodes.cost(partial(nodes.all, PUT.format(master=master, copies=copies))))
        nodes.all("rm -r /data/scratch/bare")
        nodes.ssh(master, "hdfs dfs -rm -r -skipTrash /tmp/bench")
        publish = partial(nodes.ssh, master, stage.replace("VERB", "publish"))
        took["staged"].append(nodes.cost(partial(nodes.all, fetch), publish))
        nodes.ssh(master, f"hdfs dfs -rm -r -skipTrash /datasets/{name}")
    what = f"{objects:,} x {size / 2**20:.2f} MiB"
    best = {way: min(costs, key=lambda cost: cost.wall) for way, costs in took.items()}
    least = {way: min(cost.cpu for cost in costs) for way, costs in took.items()}
    for way, label in (("bare", "downloaded"), ("put", "then put"), ("staged", f"staged, {copies} copies")):
        rate = f"{total / best[way].wall:.0f} MiB/s"
        table.add(f"{what}: {label}", f"{best[way].wall:.1f} s, {rate}, {least[way]:.1f} s of CPU")
    table.add(f"{what}: staged / download", f"{best['bare'].wall / best['staged'].wall:.0%}")
    both = best["bare"].wall + best["put"].wall
    table.add(f"{what}: staged / download then put", f"{both / best['staged'].wall:.0%}")
    table.add(f"{what}: CPU, the same", f"{(least['bare'] + least['put']) / least['staged']:.0%}")
    return best["staged"].wall


def main() -> None:
    """Make a cluster, measure, take it away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--mib", type=int, default=384, help="MiB of each set")
    parser.add_argument("--objects", type=int, default=20000, help="number of the small ones")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--copies", type=int, default=1, help="copies that HDFS keeps of each block")
    options = parser.parse_args()
    table, size = Table(), options.mib * 2**20
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.nodes, 16)
        try:
            bench.play("start_cluster.yml")
            bench.play("main.yml", "-e", "IMAGE_SIZE=16")
            nodes = Nodes(bench, options.nodes)
            print(machine())
            measure(nodes, table, options.mib // 16, 16 * 2**20, options.copies, options.rounds)
            one = measure(nodes, table, 1, size, options.copies, options.rounds)
            many = measure(
                nodes, table, options.objects, size // options.objects, options.copies, options.rounds
            )
            table.add("many small / one large", f"{many / one:.1f} x")
        finally:
            bench.close()
    print(table)
    print(json.dumps(table.rows))


if __name__ == "__main__":
    main()
