"""Times staging on a local cluster against a bare download to disk on the same nodes; see README.md.

Run it as `.venv/bin/python -m bench.staging`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.journey import Bench, Table, machine

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


class Nodes:
    """Commands on all machines of a cluster at once, as the user `hadoop`."""

    def __init__(self, bench: Bench, count: int) -> None:
        self._config = bench.state / bench.name / "ssh_config"
        self.names = [f"{bench.name}-master", *(f"{bench.name}-worker-{n}" for n in range(1, count))]
        for name in self.names:
            self.ssh(name, "cat > /tmp/bench.py", PROGRAM)

    def ssh(self, name: str, command: str, text: str = "") -> str:
        """Run a command on one machine; return what it prints. Raises CalledProcessError."""
        words = ["ssh", "-F", str(self._config), "-l", "hadoop", name, command]
        return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout

    def all(self, command: str) -> float:
        """Run a command everywhere, with {index} and {count} filled in; return its seconds."""
        begin = time.monotonic()
        with ThreadPoolExecutor(len(self.names)) as pool:
            lines = [command.format(index=at, count=len(self.names)) for at in range(len(self.names))]
            list(pool.map(self.ssh, self.names, lines))
        return time.monotonic() - begin


def measure(nodes: Nodes, table: Table, objects: int, size: int, copies: int) -> float:
    """Stage and download a set of so many objects of `size` bytes; return the best staging's seconds."""
    name, total = f"b{objects}", objects * size / 2**20
    nodes.ssh(nodes.names[0], f"{PYTHON} /tmp/bench.py fill {name} {objects} {size}")
    master = nodes.names[0]
    stage = f"/opt/muster/bin/muster-stage VERB --dataset {name} --size 16 --namenode http://{master}:9870"
    stage += f" --copies {copies}"
    took: dict[str, list[float]] = {"bare": [], "staged": []}
    for _ in range(3):
        took["bare"].append(nodes.all(f"{PYTHON} /tmp/bench.py bare {name} {{index}} {{count}}"))
        nodes.all("rm -r /data/scratch/bare")
        begin = time.monotonic()
        nodes.all(stage.replace("VERB", "fetch") + " --index {index} --count {count}")
        nodes.ssh(master, stage.replace("VERB", "publish"))
        took["staged"].append(time.monotonic() - begin)
        nodes.ssh(master, f"hdfs dfs -rm -r -skipTrash /datasets/{name}")
    bare, staged = min(took["bare"]), min(took["staged"])
    what = f"{objects:,} x {size / 2**20:.2f} MiB"
    table.add(f"{what}: bare download", f"{total / bare:.0f} MiB/s")
    table.add(f"{what}: staged, {copies} copies", f"{total / staged:.0f} MiB/s")
    table.add(f"{what}: staged / bare", f"{bare / staged:.0%}")
    return staged


def main() -> None:
    """Make a cluster, measure, take it away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--mib", type=int, default=384, help="MiB of each set")
    parser.add_argument("--objects", type=int, default=20000, help="number of the small ones")
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
            measure(nodes, table, options.mib // 16, 16 * 2**20, options.copies)
            one = measure(nodes, table, 1, size, options.copies)
            many = measure(nodes, table, options.objects, size // options.objects, options.copies)
            table.add("many small / one large", f"{many / one:.1f} x")
        finally:
            bench.close()
    print(table)
    print(json.dumps(table.rows))


if __name__ == "__main__":
    main()
