"""Runs on one machine each: at once, beside each other, waiting for the whole cluster, ended and lost."""

from __future__ import annotations

import json
import re

import pytest

from provision.core.paths import PROJECT
from provision.providers.local import client
from tests.system.lab import eventually
from tests.system.runs import runs

SLOW = "echo begin; hostname; sleep {seconds}; echo end"
PROGRAM = """\
import json, os, pathlib, socket, time

record = json.loads(pathlib.Path(os.environ["MUSTER_RECORD"]).read_text())
for step in range(1, 4):
    told = {"step": step, "of": 3, "unit": "epoch", "metrics": {"accuracy": step / 4}}
    pathlib.Path(os.environ["MUSTER_PROGRESS"]).write_text(json.dumps(told))
    print("epoch", step, flush=True)
    time.sleep(4)
answer = {"host": socket.gethostname(), "cores": os.environ["MUSTER_CORES"], "sender": record["sender"],
          "packages": len(record["packages"]), "token": os.environ["TOKEN"]}
(pathlib.Path(os.environ["MUSTER_RESULTS"]) / "found.json").write_text(json.dumps(answer))
"""


def submit(lab, *words: str) -> str:
    """Submit and do not follow; the run's name."""
    return lab.muster("submit", *words, "-d").ok().answer.strip()


def state(lab, run: str) -> str:
    return runs(lab)[run]["state"]


def ended(lab, *names: str, seconds: float = 240) -> list[dict]:
    """Wait until runs have ended; their records."""

    def over() -> list[dict]:
        known = runs(lab)
        found = [known[name] for name in names]
        return found if all(one["ended"] for one in found) else []

    return eventually(over, seconds, f"ended: {', '.join(names)}")


def test_two_runs_at_once_on_two_machines_while_the_whole_cluster_waits(ready):
    """Their records overlap; a run of the whole cluster begins after both, and what came later after that."""
    first, second = (submit(ready, SLOW.format(seconds=12), "--on", "worker") for _ in range(2))
    whole = submit(ready, "echo whole; hostname")
    later = submit(ready, SLOW.format(seconds=0), "--on", "master")
    one, other, all_of_it, last = ended(ready, first, second, whole, later)
    assert {one["node"], other["node"]} == {ready.worker(1), ready.worker(2)}
    assert one["started"] < other["ended"] and other["started"] < one["ended"], "they did not overlap"
    assert all_of_it["started"] >= max(one["ended"], other["ended"])
    assert last["started"] >= all_of_it["ended"], "it has overtaken"
    assert [len(each["machines"]) for each in (one, all_of_it)] == [1, 3]
    assert [each["state"] for each in (one, other, all_of_it, last)] == ["succeeded"] * 4
    log = ready.muster("logs", first).ok().answer.splitlines()
    assert log[:3] == ["begin", one["node"], "end"] and log[3].startswith("muster-job: succeeded after")
    assert len(log) == 4


def test_everything_about_a_run_is_there_whichever_machine_it_was_on(ready, tmp_path):
    """Progress while it runs, results here and in HDFS, a record that says where it comes from; secrets reach it."""
    (tmp_path / "train.py").write_text(PROGRAM)
    secrets = tmp_path / "secrets.yml"
    secrets.write_text("job_secrets: {TOKEN: hush}\n")
    started = ready.start(
        "submit.yml", "-e", f"JOB={tmp_path / 'train.py'}", "-e", "ON=worker", "-e", "ON_CORES=1", "-e", f"@{secrets}"
    )  # fmt: skip
    eventually(lambda: "epoch 2/3, accuracy 0.5" in ready.muster("jobs").ok().answer, 120, "in epoch 2")
    run = started.wait().ok()
    (name,) = set(re.findall(r"\btrain-\d{8}-\d{6}-[0-9a-f]{4}\b", run.output))
    ready.runs.add(name)
    record = runs(ready)[name]
    found = json.loads((PROJECT / "results" / name / "found.json").read_text())
    assert found["host"] == record["node"] and record["node"].startswith(f"{ready.name}-worker-")
    assert (found["cores"], found["token"]) == ("1", "hush")
    assert found["sender"] == record["sender"] == f"muster-{ready.name}"
    assert found["packages"] > 20
    assert re.fullmatch("[0-9a-f]{64}", record["code"])
    assert (record["cost"], record["cores"], record["env"]) == (0.0, 1, ["TOKEN"])
    assert ready.ssh(ready.master, f"hdfs dfs -cat /results/{name}/found.json").ok().answer
    told = json.loads((PROJECT / "results" / name / "run.json").read_text())
    assert "numpy" in told["packages"] and "hush" not in json.dumps(told)
    left = ready.ssh(record["node"], "ls /var/lib/muster/runs /run/muster-guest-secrets").answer
    assert name not in left, "what is here is there no more"


@pytest.mark.long
def test_small_runs_share_a_machine_and_units_have_what_was_asked(ready):
    names = [submit(ready, SLOW.format(seconds=15), "--on", "worker", "--cores", "1") for _ in range(2)]
    eventually(lambda: all(state(ready, name) == "running" for name in names), 60, "both running")
    node = runs(ready)[names[0]]["node"]
    show = f"systemctl show muster-job@{names[0]}.service --property=MemoryMax,CPUQuotaPerSecUSec,User"
    told = eventually(lambda: ready.ssh(node, show).answer, 60, "a unit")
    one, other = ended(ready, *names)
    assert one["node"] == other["node"] and one["started"] < other["ended"]
    assert {"CPUQuotaPerSecUSec=1s", f"MemoryMax={one['memory_mb'] << 20}", "User=hadoop"} <= set(
        told.split()
    )


@pytest.mark.long
def test_runs_on_other_machines_are_cancelled_and_killed(ready):
    """A cancelled run leaves no process; one whose unit is killed fails, and the machine takes the next."""
    stopped, killed = (submit(ready, "echo begin; sleep 987", "--on", "worker") for _ in range(2))
    logs = lambda name: "begin" in ready.muster("logs", name).answer  # noqa: E731
    eventually(lambda: logs(stopped) and logs(killed), 90, "both have begun")
    where = {name: runs(ready)[name]["node"] for name in (stopped, killed)}
    ready.muster("cancel", stopped).ok()
    assert ready.ssh(where[stopped], "pgrep -f 'sleep 98[7]'").status == 1
    ready.ssh(where[killed], f"sudo systemctl kill -s KILL muster-job@{killed}.service", user="muster").ok()
    first, second = ended(ready, stopped, killed)
    assert (first["state"], second["state"], second["reason"]) == ("cancelled", "failed", "ended by signal 9")
    (after,) = ended(ready, submit(ready, "echo next; hostname", "--on", "worker"))
    assert after["state"] == "succeeded"


def test_what_no_machine_can_do_is_refused_in_a_line(ready):
    ready.muster("submit", "sleep 1", "--on", "gpu").refused(
        "no machine of a group gpu; groups: master, worker"
    )
    ready.muster("submit", "sleep 1", "--on", "worker", "--cores", "9").refused(
        "no machine of worker has 9 cores"
    )


def test_the_key_of_the_queue_opens_nothing_else(ready, tmp_path):
    """Whoever had it could not log in: neither run a command, nor become root."""
    key = tmp_path / "key"
    key.write_bytes((ready.state_dir / "secrets" / "queue").read_bytes())
    key.chmod(0o600)
    ready.muster("put", str(key), "master:/home/hadoop/stolen").ok()
    try:
        script = (
            "chmod 600 stolen; ssh -i stolen -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes"
            f" -o UserKnownHostsFile=/etc/muster/queue_hosts {{who}}@{ready.worker(1)} id"
        )
        as_hadoop = ready.ssh(ready.master, script.format(who="hadoop"))
        as_muster = ready.ssh(ready.master, script.format(who="muster"))
        assert "this key is for the queue of jobs" in as_hadoop.output and "uid=" not in as_hadoop.output
        assert "Permission denied" in as_muster.output
        assert ready.ssh(ready.master, "cat /etc/muster/queue_key").status == 1
    finally:
        ready.ssh(ready.master, "rm -f stolen")


@pytest.mark.long
def test_a_run_goes_on_while_the_master_restarts(two_nodes):
    """Followed from here over it: no line is missing, and none is there twice."""
    run = submit(two_nodes, "for i in $(seq 1 60); do echo line $i; sleep 1; done", "--on", "worker")
    eventually(lambda: "line 5" in two_nodes.muster("logs", run).answer, 60, "begun")
    two_nodes.ssh(two_nodes.master, "sudo systemctl reboot", user="muster", timeout=30)
    log = two_nodes.muster("logs", run, "-f").answer.splitlines()
    assert log[:60] == [f"line {number}" for number in range(1, 61)]
    assert len(log) == 61 and log[60].startswith("muster-job: succeeded after")


@pytest.mark.long
def test_a_machine_that_dies_loses_its_run_and_the_queue_goes_on(two_nodes):
    """The next run for the group waits for the machine; those for others do not."""
    lost = submit(two_nodes, "echo begin; sleep 987", "--on", "worker")
    eventually(lambda: "begin" in two_nodes.muster("logs", lost).answer, 60, "begun")
    waiting = submit(two_nodes, "echo again; hostname", "--on", "worker")
    cluster = two_nodes.machines()[two_nodes.worker(1)]["cluster_id"]
    request = {"cluster_id": cluster, "names": [two_nodes.worker(1)]}
    two_nodes.ssh(two_nodes.worker(1), "sudo systemctl poweroff -ff", user="muster", timeout=30)
    (other,) = ended(two_nodes, submit(two_nodes, "echo here; hostname", "--on", "master"))
    assert other["state"] == "succeeded"
    (record,) = ended(two_nodes, lost)
    assert record["state"] == "failed"
    assert "the run is lost" in record["reason"] and two_nodes.worker(1) in record["reason"], record["reason"]
    client.call("start", request)
    (after,) = ended(two_nodes, waiting)
    assert (after["state"], after["node"]) == ("succeeded", two_nodes.worker(1))
