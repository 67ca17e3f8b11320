"""Staging of sets that others made: many small objects, large ones, and what happens when something ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.system.lab import Lab, Run, eventually

pytestmark = pytest.mark.long
PYTHON = "/opt/muster/venv/bin/python"
FILL = """
import gzip, hashlib, random, sys
from concurrent.futures import ThreadPoolExecutor
from muster_node import sets
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store
name, count, size = sys.argv[1], *map(int, sys.argv[2:])
def fill(number):
    line = b"1," + str(number).encode() + b"," + random.Random(number).randbytes(size // 2).hex().encode() + b"\\n"
    content = gzip.compress(line, 1, mtime=0) if size < 1 << 20 else line
    key = f"{name}/train_16/part-{number:05d}.csv" + (".gz" if size < 1 << 20 else "")
    open_store(Settings.load()).put(key, content)
    return sets.SetFile(key, len(content), hashlib.sha256(content).hexdigest(), 1)
with ThreadPoolExecutor(8) as pool:
    objects = list(pool.map(fill, range(count)))
made = sets.Manifest(dataset=name, set="train_16", rows=count, objects=objects)
open_store(Settings.load()).put(sets.manifest_key(name, "train", 16), made.to_json().encode())
"""
COUNT = """
import sys
from pyspark.sql import SparkSession
lines = SparkSession.builder.getOrCreate().read.text(sys.argv[1], pathGlobFilter="part-*.csv*")
print("counted", lines.selectExpr("count(distinct split(value, ',')[1])").first()[0])
"""


class Sets:
    """Sets in the store of a cluster, and how they get into its HDFS."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.names = [lab.master, *(lab.worker(number) for number in range(1, lab.nodes))]

    def fill(self, name: str, count: int, size: int) -> None:
        """Write a set of `count` objects of about `size` bytes."""
        self.lab.ssh(self.lab.master, f"cat > fill.py << 'END'\n{FILL}\nEND").ok()
        self.lab.ssh(self.lab.master, f"{PYTHON} fill.py {name} {count} {size}", timeout=900).ok()

    def stage(self, name: str, during: Callable[[], None] = lambda: None) -> list[str]:
        """Let all nodes fetch while `during` does something, then join, then publish; return what failed."""
        words = f"--dataset {name} --size 16 --namenode http://{self.lab.master}:9870 --copies 2"
        with ThreadPoolExecutor(len(self.names)) as pool:
            running = [pool.submit(self._share, "fetch", words, index) for index in range(len(self.names))]
            during()
        failed = [run.result().output for run in running if run.result().status]
        if not failed:
            with ThreadPoolExecutor(len(self.names)) as pool:
                for joined in [pool.submit(self._share, "join", words, n) for n in range(len(self.names))]:
                    joined.result().ok()
            self.lab.ssh(self.lab.master, f"/opt/muster/bin/muster-stage publish {words}", timeout=900).ok()
        return failed

    def _share(self, verb: str, words: str, index: int) -> Run:
        line = f"/opt/muster/bin/muster-stage {verb} {words} --index {index} --count {len(self.names)}"
        return self.lab.ssh(self.names[index], line, timeout=900)

    def files(self, name: str) -> list[str]:
        """Return the names of the files of a staged set."""
        listing = self.lab.ssh(self.lab.master, f"hdfs dfs -ls -C /datasets/{name}/train_16").ok().answer
        return [line.rpartition("/")[2] for line in listing.splitlines() if "/part-" in line]

    def verified(self, name: str) -> bool:
        """Say whether verify finds every object of the set in HDFS, by checksum."""
        share = {"name": name, "size": 16, "index": 0, "count": 1, "folder": "", "seconds": 600}
        code = f"""
import json
from muster_node.proofs import staged
from muster_node.proofs.plan import Share
print(json.dumps(staged.data(Share(**{share!r}), "http://{self.lab.master}:9870")))
"""
        answer = self.lab.ssh(self.lab.master, f"{PYTHON} - << 'END'\n{code}\nEND", timeout=900).ok().answer
        return bool(json.loads(answer.splitlines()[-1])[0])

    def coming(self, name: str) -> bool:
        """Say whether some of the set has come."""
        listing = self.lab.ssh(self.lab.master, f"hdfs dfs -ls -R -C /datasets/{name}")
        return "/part-" in listing.answer

    def remove(self, name: str) -> None:
        """Take a set away, from HDFS and from the store."""
        self.lab.ssh(self.lab.master, f"hdfs dfs -rm -r -f -skipTrash /datasets/{name}").ok()
        self.lab.muster("data", "rm", name, "--yes").ok()


@pytest.fixture
def data(ready: Lab) -> Iterator[Sets]:
    found = Sets(ready)
    made: list[str] = []
    fill = found.fill

    def remembered(name: str, count: int, size: int) -> None:
        made.append(name)
        fill(name, count, size)

    found.fill = remembered  # type: ignore[method-assign]
    yield found
    for name in made:
        found.remove(name)


def test_spark_reads_every_row_of_many_small_objects(data, tmp_path):
    data.fill("small", 300, 2000)
    assert data.stage("small") == []
    assert data.files("small") == ["part-00000_to_part-00299.csv.gz"]
    assert data.verified("small")
    program = tmp_path / "count.py"
    program.write_text(COUNT)
    assert (
        "counted 300" in data.lab.muster("submit", str(program), "--", "/datasets/small/train_16").ok().output
    )


def test_large_objects_come_in_ranges_from_all_nodes_and_are_joined_by_all(data):
    data.fill("large", 2, 100 << 20)
    assert data.stage("large") == []
    assert data.files("large") == ["part-00000.csv", "part-00001.csv"]
    assert data.verified("large")


@pytest.mark.parametrize("ends", ["a DataNode", "the object store"])
def test_what_ends_during_staging_stops_nothing_for_good(data, ends):
    data.fill("ending", 24, 8 << 20)
    lab = data.lab

    def end() -> None:
        eventually(lambda: data.coming("ending"), 120, "the first files")
        if ends == "a DataNode":
            lab.ssh(lab.worker(1), "sudo systemctl kill -s KILL hdfs-datanode", user="muster").ok()
        else:
            lab.ssh("object-store", "sudo systemctl restart object-store", user="muster").ok()

    failed = data.stage("ending", end)
    assert all(output.strip().count("\n") == 0 for output in failed), failed
    if failed:
        assert data.stage("ending") == []
    assert len(data.files("ending")) == 24
    assert data.verified("ending")


def test_one_gibibyte_in_twenty_thousand_objects(data):
    data.fill("gib", 20_000, 91_000)  # packed by gzip to six tenths
    assert data.stage("gib") == []
    assert 60 < len(data.files("gib")) < 100
    assert data.verified("gib")
