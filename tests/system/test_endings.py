"""What the end of a cluster spares: checkpoints, results, HDFS; and that autostop knows who uses it."""

from __future__ import annotations

import json

import pytest

from tests.system.clouds import move
from tests.system.deadlines import arm, state_of
from tests.system.lab import eventually

pytestmark = pytest.mark.long

PROGRAM = """
import os, pathlib, signal, sys, time
def told(*_):
    pathlib.Path(os.environ["MUSTER_RESULTS"], "checkpoint.txt").write_text("epoch 7")
    sys.exit(9)
signal.signal(signal.SIGTERM, told)
print("training", flush=True)
time.sleep(600)
"""
IN_STORE = """
import json
from muster_node.stores.base import Settings
from muster_node.stores.open import open_store
client = open_store(Settings.load())
names = [name for prefix in ("results/", "spark-events/") for name, _ in client.names(prefix)]
print(json.dumps({name: client.get(name).decode(errors="replace")[:80] for name in names}))
"""


def runs(lab) -> dict[str, dict]:
    return {run["run"]: run for run in lab.muster("jobs", "--json").ok().json()}


def submit(lab, *what: str) -> str:
    return lab.muster("submit", *what, "-d").ok().answer.strip()


def test_a_deadline_spares_checkpoints_and_autostop_spares_jobs(labs, tmp_path):
    lab = labs(nodes=1, ttl="8h")
    lab.up(16)
    program = tmp_path / "train.py"
    program.write_text(PROGRAM)
    run = submit(lab, str(program))
    eventually(lambda: "training" in lab.muster("logs", run).output, 60, "the job running")
    arm(lab, lab.master, 45)
    eventually(lambda: state_of(lab, lab.master) == "stopped", 60, "powered off")

    # It comes back with all it had; what it brought home is in the store.
    lab.write(autostop="1m")
    lab.playbook("start_cluster.yml").ok()
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    record = runs(lab)[run]
    assert record["state"] == "failed"
    assert "the cluster's time was over" in record["reason"]
    kept = json.loads(
        lab.ssh(lab.master, f"/opt/muster/venv/bin/python - <<'EOF'\n{IN_STORE}\nEOF").ok().answer
    )
    assert kept[f"results/{run}/checkpoint.txt"] == "epoch 7"
    assert "training" in kept[f"results/{run}/log"]
    assert any(name.startswith(f"spark-events/{lab.name}-") for name in kept), sorted(kept)

    # A job of more than a minute is use; when it has ended, the machine ends too.
    busy = submit(lab, "sleep 75; echo slept")
    assert "after 1m without a job" in lab.muster("status").ok().output
    lab.playbook("stop_cluster.yml").refused(f"1 job.s. run or wait there: {busy}.*FORCE=true")
    eventually(lambda: "slept" in lab.ssh(lab.master, f"cat /var/lib/muster/runs/{busy}/log", timeout=20).answer,
               120, "the job done, undisturbed")  # fmt: skip
    eventually(lambda: state_of(lab, lab.master) == "stopped", 150, "powered off when nobody used it")


def test_stopped_machines_come_back_with_their_data_at_other_addresses(labs):
    lab = labs()
    lab.up(16)
    write = (
        "head -c 3000000 /dev/urandom > mine && hdfs dfs -put -f mine mine && hdfs dfs -cat mine | sha256sum"
    )
    before = lab.ssh(lab.master, write).ok().answer
    lab.playbook("stop_cluster.yml").ok()
    assert {node["state"] for node in lab.status()["nodes"]} == {"stopped"}
    old = {name: node["address"] for name, node in lab.machines().items()}
    prefix = old[lab.master].rpartition(".")[0]
    new = {lab.master: f"{prefix}.201", lab.worker(1): f"{prefix}.202"}
    move(new)
    lab.playbook("start_cluster.yml").ok()
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    assert {name: node["address"] for name, node in lab.machines().items()} == old | new
    assert lab.ssh(lab.master, "hdfs dfs -cat mine | sha256sum").ok().answer == before
    report = lab.ssh(lab.master, "hdfs dfsadmin -report").answer
    assert (
        f"{new[lab.worker(1)]}:9866" in lab.ssh(lab.master, "hdfs fsck / -files -blocks -locations").answer
    ), report
    assert lab.status()["services"]["workers"] == 3
    assert lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok().changed == 0


def test_a_worker_follows_its_master(labs):
    """Nobody uses two machines: the master ends, then the worker, which has seen it before."""
    size = {"cores": 1, "memory_gb": 3, "data_disk_gb": 1}
    lab = labs(nodes=2, groups={"master": size, "worker": size}, autostop="1m")
    lab.playbook("start_cluster.yml").ok()
    eventually(lambda: state_of(lab, lab.master) == "stopped", 150, "the master ended")
    assert state_of(lab, lab.worker(1)) == "running"
    eventually(lambda: state_of(lab, lab.worker(1)) == "stopped", 400, "the worker ended")
