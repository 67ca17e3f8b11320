"""What a user may submit besides one Python file: a jar, a folder with packages, a shell command."""

from __future__ import annotations

import json

from provision.core.paths import PROJECT
from tests.system.runs import only_run, runs

PYTHON = "/opt/muster/venv/bin/python"
GENERATOR = "org.apache.spark.mllib.util.LogisticRegressionDataGenerator"
MAIN = """\
import json, os, pathlib, socket, time
from pyspark.sql import SparkSession
from shapes import area

def look(numbers):
    import iniconfig
    time.sleep(1)  # so that no executor does it all
    yield socket.gethostname(), pathlib.Path(iniconfig.__file__).parts[-3:][0], sum(map(area, numbers))

spark = SparkSession.builder.appName("folder").getOrCreate()
found = spark.sparkContext.parallelize(range(18), 18).mapPartitions(look).collect()
answer = {"hosts": sorted({host for host, _, _ in found}), "sum": sum(part for _, _, part in found),
          "packages": sorted({packages for _, packages, _ in found})}
(pathlib.Path(os.environ["MUSTER_RESULTS"]) / "found.json").write_text(json.dumps(answer))
"""
LARGE = """\
import io, os
from dataclasses import replace
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store

known = Settings.load()
content = os.urandom(12 << 20)
for settings in (known, replace(known, kind="swift", endpoint=f"{known.endpoint}/auth/v1.0")):
    store, key = open_store(settings), f"large/{settings.kind}"
    store.upload(key, io.BytesIO(content), len(content), 5 << 20)
    assert store.get(key) == content
    assert dict(store.names(key)) == {key: len(content)}
print("equal")
"""


def test_a_jar_with_its_main_class(ready, tmp_path):
    """A program of Spark's own, taken from a node: there is no compiler here."""
    jar = ready.ssh(ready.master, "ls /opt/spark/jars/spark-mllib_*.jar").ok().answer.strip()
    ready.muster("get", f"master:{jar}", str(tmp_path / "points.jar")).ok()
    target = "/user/hadoop/points"
    points = [f"spark://{ready.master}:7077", target, "40", "3", "4"]
    try:
        run = ready.muster("submit", str(tmp_path / "points.jar"), "--class", GENERATOR, "--", *points).ok()
        lines = ready.ssh(ready.master, f"hdfs dfs -cat '{target}/part-*'").ok().answer.splitlines()
    finally:
        ready.ssh(ready.master, f"hdfs dfs -rm -r -skipTrash {target}")
    assert len(lines) == 40 and all(line.count(",") == 3 for line in lines), lines
    assert runs(ready)[only_run(run)]["state"] == "succeeded"


def test_a_jar_without_that_class_says_so(ready, tmp_path):
    jar = ready.ssh(ready.master, "ls /opt/spark/jars/spark-mllib_*.jar").ok().answer.strip()
    ready.muster("get", f"master:{jar}", str(tmp_path / "points.jar")).ok()
    run = ready.muster("submit", str(tmp_path / "points.jar"), "--class", "org.example.Nobody")
    assert run.status != 0
    assert "org.example.Nobody" in runs(ready)[only_run(run)]["reason"], run.report()


def test_a_folder_with_a_module_and_packages_on_every_worker(ready, tmp_path):
    """The module and what requirements.txt names are there in the executors, too."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "main.py").write_text(MAIN)
    (folder / "shapes.py").write_text("def area(side):\n    return side * side\n")
    (tmp_path / "requirements.txt").write_text("iniconfig\n")
    missing = ready.ssh(ready.master, "/opt/muster/venv/bin/python -c 'import iniconfig'")
    assert "ModuleNotFoundError" in missing.output, "the nodes have it anyway: this test shows nothing"
    run = ready.muster("submit", f"{folder}/", "--deps", str(tmp_path / "requirements.txt")).ok()
    found = json.loads((PROJECT / "results" / only_run(run) / "found.json").read_text())
    assert found["hosts"] == sorted(ready.names)
    assert found["sum"] == sum(side * side for side in range(18))
    assert found["packages"] == ["packages"]


def test_a_shell_command(ready):
    run = ready.muster("submit", 'hdfs dfs -count /datasets | tee "$MUSTER_RESULTS/count.txt"').ok()
    name = only_run(run)
    assert "/datasets" in (PROJECT / "results" / name / "count.txt").read_text()
    assert "/datasets" in run.output
    failed = ready.muster("submit", "echo all is lost >&2; exit 7")
    found = runs(ready)[only_run(failed)]
    assert found["state"] == "failed" and "all is lost" in found["reason"], found


def test_a_large_object_goes_into_the_store_in_parts(ready):
    """By S3's protocol and by Swift's own, into a real Swift."""
    try:
        run = ready.ssh(ready.master, f"{PYTHON} - <<'EOF'\n{LARGE}\nEOF").ok()
        assert run.answer.strip() == "equal"
    finally:
        ready.muster("data", "rm", "large", "--yes").ok()
