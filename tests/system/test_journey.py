"""The whole journey on three nodes: what a user of the cluster sees and does."""

from __future__ import annotations

import json
import re
import secrets
import time

import pytest

from provision.core.paths import PROJECT
from tests.system.lab import eventually
from tests.system.runs import only_run, runs

TRAIN = """\
import json, os, pathlib, sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("mine").getOrCreate()
lines = spark.read.text("/datasets/digits/train_16").count()
print("lines", lines, "argument", sys.argv[1], flush=True)
results = pathlib.Path(os.environ["MUSTER_RESULTS"])
(results / "mine.json").write_text(json.dumps({"lines": lines, "argument": sys.argv[1]}))
"""


def test_verified(ready):
    run = ready.muster("verify", "--json").ok()
    report = run.json()
    checks = report["checks"]
    assert report["ready"] is True, report
    assert all(check["ok"] for check in checks), checks
    for word in ("hdfs", "spark", "torch", "data"):
        assert any(word in json.dumps(check).lower() for check in checks), (word, checks)


def test_a_second_run_changes_nothing(ready):
    assert ready.playbook("start_cluster.yml").ok().changed == 0
    run = ready.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    assert run.changed == 0, run.report(200)


def test_status(ready):
    status = ready.status()
    assert (status["cluster"], status["wish"]) == (ready.name, 3)
    assert sorted(node["name"] for node in status["nodes"]) == sorted(ready.names)
    assert {node["state"] for node in status["nodes"]} == {"running"}
    assert (status["services"]["datanodes"], status["services"]["workers"]) == (3, 3)


def test_services_are_enabled_and_run(ready):
    for name in ready.names:
        host = ready.node(name, sudo=True)
        assert host.service("hdfs-datanode").is_running and host.service("hdfs-datanode").is_enabled
        assert host.service("spark-worker").is_running and host.service("spark-worker").is_enabled
        assert host.run("systemctl is-system-running").stdout.strip() == "running", host.run(
            "systemctl --failed"
        ).stdout
    master = ready.node(ready.master, sudo=True)
    for unit in ("hdfs-namenode", "spark-master", "spark-history"):
        assert master.service(unit).is_running


def test_hdfs_for_people(ready):
    assert "/datasets" in ready.ssh(ready.master, "hdfs dfs -ls /").ok().answer
    script = "echo words | hdfs dfs -put -f - words && hdfs dfs -cat words && hdfs dfs -rm -skipTrash words"
    assert "words" in ready.ssh(ready.master, script).ok().answer
    assert "HEALTHY" in ready.ssh(ready.worker(1), "hdfs fsck / 2>/dev/null").ok().answer


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (
            "PYSPARK_DRIVER_PYTHON_OPTS=-i pyspark",
            "print('sum', spark.sparkContext.parallelize(range(101), 3).sum())\n",
        ),
        ("spark-shell", 'println("sum " + spark.sparkContext.parallelize(0 to 100, 3).sum().toInt)\n'),
        (
            "cat > /tmp/job.py; spark-submit /tmp/job.py",
            (
                "from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\n"
                "print('sum', spark.sparkContext.parallelize(range(101), 3).sum())\n"
            ),
        ),
    ],
    ids=["pyspark", "spark-shell", "spark-submit"],
)
def test_spark_for_people(ready, command, program):
    """No options: secret, sizing and HDFS are configured; executors of the cluster do the work."""
    # -i stands for the terminal without which Python does not run what makes `spark`.
    script = f"{{ {command}; }} <<'END'\n{program}END\n"
    run = ready.ssh(ready.master, script).ok()
    assert re.search(r"sum\s+5050", run.output), run.report()


def test_logistic_regression(ready):
    run = ready.playbook("submit.yml", "-e", "JOB=logistic_regression").ok()
    name = only_run(run)
    results = PROJECT / "results" / name
    metrics = json.loads((results / "metrics.json").read_text())
    assert metrics["accuracy"] >= 0.93
    assert metrics["image_size"] == 16
    assert (results / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")
    assert list((results / "model").rglob("part-*"))
    listed = ready.ssh(ready.master, f"hdfs dfs -ls /results/{name}").ok().answer
    assert all(
        f"/results/{name}/{part}" in listed for part in ("metrics.json", "confusion_matrix.png", "model")
    )
    assert ready.ssh(ready.master, "ls -d ~/*/logistic_regression").ok().answer, (
        "the built-in jobs lie in the home of hadoop"
    )
    assert runs(ready)[name]["state"] == "succeeded"
    # So few rows stay in the driver: the run is no application of the cluster, and no executor started for it.
    page = ready.ssh(ready.master, f"curl -s http://{ready.master}:8080/json/").ok().answer
    told = json.loads(page)
    assert not [one for one in told["completedapps"] + told["activeapps"] if "logistic" in one["name"]]


def test_own_program(ready, tmp_path):
    program = tmp_path / "train.py"
    program.write_text(TRAIN)
    run = ready.muster("submit", str(program), "--", "seven").ok()
    name = only_run(run)
    assert re.search(r"lines \d+ argument seven", run.output), run.report()
    found = json.loads((PROJECT / "results" / name / "mine.json").read_text())
    assert found["argument"] == "seven" and found["lines"] > 1000
    assert "argument seven" in ready.muster("logs", name).ok().output


def test_the_reason_of_a_failure_is_the_last_line(ready, tmp_path):
    program = tmp_path / "broken.py"
    program.write_text(
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        "def fail(x):\n    raise ValueError('the picture is upside down')\n"
        "spark.sparkContext.parallelize(range(3)).map(fail).count()\n"
    )
    run = ready.muster("submit", str(program))
    assert run.status != 0
    last = [line for line in run.output.splitlines() if line.strip()][-1]
    assert "upside down" in last and len(last) < 400, run.report()
    found = runs(ready)[only_run(run)]
    assert found["state"] == "failed" and "upside down" in found["reason"]


def test_two_submits_queue_and_both_finish(ready):
    go = f"/data/scratch/go-{secrets.token_hex(4)}"
    first = only_run(
        ready.muster("submit", "--detach", f"until [ -e {go} ]; do sleep 0.1; done; rm {go}").ok()
    )
    second = only_run(ready.muster("submit", "--detach", "echo second was here").ok())
    found = runs(ready)
    assert (found[first]["state"], found[second]["state"]) == ("running", "queued")
    assert first in ready.muster("destroy").refused(r"job").output  # before it asks anybody
    assert first in ready.muster("destroy", "--yes").refused(r"job").output
    assert first in ready.playbook("destroy_cluster.yml").refused(r"job.*FORCE=true").output
    assert sorted(ready.machines()) == sorted(ready.names)
    ready.ssh(ready.master, f"touch {go}").ok()
    assert "second was here" in ready.muster("logs", second, "--follow", timeout=60).ok().output
    eventually(lambda: runs(ready)[second]["state"] == "succeeded", 20, "succeeded")
    assert runs(ready)[first]["state"] == "succeeded"


def test_cancel(ready):
    name = only_run(ready.muster("submit", "--detach", "sleep 600").ok())
    waiting = only_run(ready.muster("submit", "--detach", "sleep 0").ok())
    ready.muster("cancel", waiting).ok()
    ready.muster("cancel", name).ok()
    eventually(
        lambda: {runs(ready)[run]["state"] for run in (name, waiting)} == {"cancelled"}, 20, "cancelled"
    )
    assert "sleep 600" not in ready.ssh(ready.master, "ps -e -o args").answer


def test_a_job_survives_its_submitter(ready):
    """Runs as a unit on the master: it goes on when the user's computer is closed."""
    name = only_run(ready.muster("submit", "--detach", "sleep 3; echo done at last").ok())
    time.sleep(0.2)
    eventually(lambda: runs(ready)[name]["state"] == "succeeded", 30, "succeeded")


def test_hadoop_yml_brings_the_data_back(ready):
    ready.ssh(ready.master, "hdfs dfs -rm -r -skipTrash /datasets/digits/train_16").ok()
    ready.playbook("hadoop.yml").ok()
    assert "part-" in ready.ssh(ready.master, "hdfs dfs -ls /datasets/digits/train_16").ok().answer
    assert ready.status()["services"]["datanodes"] == 3


def digits(lab) -> set[str]:
    """The sets of the digits in the object store, which other tests keep other data sets in."""
    names = {found["name"] for found in lab.muster("data", "list", "--json").ok().json()}
    return {name for name in names if "digits" in name}


def test_another_size_is_made_when_it_is_asked_for(ready):
    """Sets that exist are listed; the missing one is preprocessed on the cluster, and the old one stays."""
    before = digits(ready)
    assert any("train_16" in name for name in before) and not any("train_32" in name for name in before)
    ready.playbook("main.yml", "-e", "IMAGE_SIZE=32").ok()
    after = digits(ready)
    assert {name.replace("_16", "_32") for name in before if "_16" in name} <= after
    first = (
        ready.ssh(ready.master, "hdfs dfs -cat '/datasets/digits/train_32/part-*0.csv.gz' | zcat | head -n 1")
        .ok()
        .answer
    )
    assert len(first.split(",")) == 1 + 32 * 32
    ready.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()


def test_a_set_that_was_made_with_other_settings_is_refused(ready):
    """Before anything is staged; test_preprocess has the remedy."""
    asked = ready.keys["dataset"]
    ready.write(dataset=asked | {"channels": "rgb"})
    try:
        ready.playbook("main.yml", "-e", "IMAGE_SIZE=16").refused(
            r"digits/train_16 was made with other settings.*channels: grey then, rgb now.*data rm digits/train_16"
        )
    finally:
        ready.write(dataset=asked)


def test_files_go_in_and_out(ready, tmp_path):
    source = tmp_path / "rows.csv"
    source.write_text("1,2,3\n")
    ready.muster("put", str(source), "hdfs:/user/hadoop/rows.csv").ok()
    ready.muster("get", "hdfs:/user/hadoop/rows.csv", str(tmp_path / "back.csv")).ok()
    assert (tmp_path / "back.csv").read_text() == source.read_text()


def test_the_timeline_has_the_journey(ready):
    phases = ready.muster("timeline", "--json").ok().json()
    assert phases and all(phase["seconds"] >= 0 for phase in phases)
