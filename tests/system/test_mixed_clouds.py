"""One cluster at two clouds: most of it at SoftLayer, a machine at EC2, data from a store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.core.paths import PROJECT
from tests.emulators.ec2.harness import Emulator as PaperEc2
from tests.emulators.hardware import CALLER, public
from tests.emulators.softlayer.server import Emulator as PaperSoftLayer
from tests.system.clouds import CloudLab, checks, ec2_account, move, softlayer_account, store_elsewhere
from tests.system.lab import eventually
from tests.system.runs import only_run, runs

HERE = f"{CALLER}/32"
"""This computer, as the service of the emulators tells its address."""

GROUPS = {
    "master": {"cores": 2, "memory_gb": 3, "data_disk_gb": 20},
    "worker": {"cores": 2, "memory_gb": 2, "data_disk_gb": 20},
    "extra": {  # without a graphics card, which no emulator can have
        "count": 1,
        "provider": "ec2",
        "instance_type": "t3.small",
        "spot": True,
        "max_price": 0.6,
        "data_disk_gb": 5,
    },
}

PROGRAM = """\
import json, os, pathlib, socket, subprocess
from pyspark.sql import SparkSession

counted = SparkSession.builder.getOrCreate().range(10).count()
no_hdfs = subprocess.run(["hdfs", "dfs", "-ls", "/"], capture_output=True, text=True)
answer = {"host": socket.gethostname(), "counted": counted, "hdfs": no_hdfs.stderr, "cores": os.environ["MUSTER_CORES"],
          "data": len(list(pathlib.Path("/data/datasets/digits/train_16").glob("part-*")))}
(pathlib.Path(os.environ["MUSTER_RESULTS"]) / "found.json").write_text(json.dumps(answer))
print("computed on", answer["host"])
"""
KNOCK = (
    "chmod 600 stolen; ssh -F none -i stolen -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes"
    " -o UserKnownHostsFile=stolen.hosts -o HostKeyAlias={name} {who}@{address} id"
)


def takes_runs(lab: CloudLab, name: str, folder: Path) -> None:
    """A run on a machine of the group `extra`, elsewhere: seen here, its results here and in HDFS; one is cancelled."""
    (folder / "far.py").write_text(PROGRAM)
    done = lab.muster("submit", str(folder / "far.py"), "--on", "extra").ok()
    run = only_run(done)
    assert f"computed on {name}" in done.output
    found = json.loads((PROJECT / "results" / run / "found.json").read_text())
    assert (found["host"], found["counted"], found["data"] > 0) == (name, 10, True)
    assert found["hdfs"].startswith(f"hdfs: {name} is at another provider than the master and has no HDFS;")
    told = json.loads((PROJECT / "results" / run / "run.json").read_text())
    assert (told["state"], told["on"], told["node"]) == ("succeeded", "extra", name)
    assert [one["name"] for one in told["machines"]] == [name] and told["cost"] > 0
    assert name in lab.ssh(lab.master, f"hdfs dfs -cat /results/{run}/found.json").ok().answer

    learnt = lab.muster("submit", "cnn", "epochs=1", "--on", "extra").ok()
    assert "accuracy" in learnt.output
    assert (PROJECT / "results" / only_run(learnt) / "checkpoint.pt").stat().st_size > 0
    lab.muster("submit", "logistic_regression", "--on", "extra").refused("another provider than the master")

    stopped = lab.muster("submit", "echo begin; sleep 987", "--on", "extra", "-d").ok().answer.strip()
    eventually(lambda: "begin" in lab.muster("logs", stopped).answer, 120, "begun")
    lab.muster("cancel", stopped).ok()
    assert runs(lab)[stopped]["state"] == "cancelled"
    assert lab.ssh(name, "pgrep -f 'sleep 98[7]'").status == 1
    assert stopped not in lab.ssh(name, "ls /var/lib/muster/runs").answer


def opens_nothing_else(lab: CloudLab, name: str, folder: Path) -> None:
    """The queue's key is no way to a shell of a machine elsewhere, and is taken from the master alone."""
    (folder / "stolen").write_bytes((lab.state_dir / "secrets" / "queue").read_bytes())
    (folder / "stolen.hosts").write_bytes((lab.state_dir / "known_hosts").read_bytes())
    seen = {}
    for node in (lab.master, lab.worker(1)):
        for file in ("stolen", "stolen.hosts"):
            lab.muster("put", str(folder / file), f"{node}:/home/hadoop/{file}").ok()
        for who in ("hadoop", "muster"):
            script = KNOCK.format(name=name, who=who, address=public(lab.addresses()[name]))
            seen[node, who] = lab.ssh(node, script).output
        lab.ssh(node, "rm stolen stolen.hosts").ok()
    assert "this key is for the queue of jobs" in seen.pop((lab.master, "hadoop"))
    assert all("Permission denied" in text for text in seen.values()), seen


def test_the_file_that_is_shipped_is_a_plan(labs, tmp_path: Path) -> None:
    """Accounts without machines: what inventories/mixed.yml would make, and that nothing was made."""
    lab, softlayer = labs(), PaperSoftLayer(tmp_path / "home")
    try:
        with PaperEc2(tmp_path / "aws") as ec2:
            command = [str(PROJECT / "muster"), "-i", str(PROJECT / "inventories" / "mixed.yml"), "plan"]
            given = softlayer.environment(lab.environment() | ec2.environment())
            said = lab.run(["env", "-i", *(f"{key}={value}" for key, value in given.items()), *command]).ok()
            assert "retina-mixed-worker-1 (4 cores, 16 GiB, softlayer)" in said.answer
            assert "retina-mixed-gpu-1 (g5.xlarge, ec2)" in said.answer
            assert "SoftLayer's own price" in said.answer and "gpu: spot market" in said.answer
            assert softlayer.books.billing() == ec2.alive() == []
    finally:
        softlayer.close()


@pytest.mark.long
def test_two_machines_at_softlayer_and_one_at_ec2(small, tmp_path: Path) -> None:
    """Made, filled, proved, seen, asked and deleted from one file."""
    with (
        softlayer_account(tmp_path / "softlayer") as processors,
        ec2_account(tmp_path / "ec2") as graphics,
        store_elsewhere(small, "swift") as (block, keys),
    ):
        there = {"datacenter": ["dal13", "dal10"], **graphics.keys()["ec2"]}  # with public addresses
        lab = CloudLab(
            tmp_path / "lab",
            processors,
            graphics,
            nodes=2,
            groups=GROUPS,
            object_store=block,
            softlayer=there,
        )
        extra, vault = f"{lab.name}-extra-1", lab.vault(keys)
        lab.playbook("start_cluster.yml", *vault).ok()
        assert processors.billing() == sorted([lab.master, lab.worker(1)]) and graphics.billing() == [extra]
        assert lab.playbook("start_cluster.yml", *vault).ok().changed == 0
        (group,) = graphics.emulator.books()["groups"]
        assert group["ssh"] == sorted([HERE, f"{public(lab.addresses()[lab.master])}/32"])
        assert processors.emulator.books.security.sources() == [HERE]

        lab.playbook("main.yml", "-e", "IMAGE_SIZE=16", *vault).ok()
        proofs = checks(lab)
        assert [name for name, proof in proofs.items() if not proof["ok"]] == []
        found = {name: proof["found"] for name, proof in proofs.items()}
        assert found["DataNodes"] == found["Workers"] == "2"
        assert found["Spark"] == "tasks on 2 of 2 Workers"
        assert "train_16 1,438 rows" in found["Data set"]
        assert "1 of 1 nodes" in found["Data copies"] and "train_16 1,438 rows" in found["Data copies"]
        assert found["Runs elsewhere"] == "1 of 1 machines"
        assert "torch" in found["Deep learning"] and "3 of 3 nodes" in found["Deep learning"]

        assert "accuracy" in lab.muster("submit", "logistic_regression").ok().output
        takes_runs(lab, extra, tmp_path)
        opens_nothing_else(lab, extra, tmp_path)
        assert lab.playbook("main.yml", *vault).ok().changed == 0
        assert "part-00000" in lab.ssh(extra, "ls /data/datasets/digits/train_16").ok().answer
        master = lab.addresses()[lab.master]
        rules = lab.ssh(extra, "sudo nft list table inet muster; cat /etc/hosts", user="muster").ok().answer
        assert master not in rules

        nodes = {node["name"]: node["state"] for node in lab.status()["nodes"]}
        assert nodes == dict.fromkeys([lab.master, lab.worker(1), extra], "running")
        assert "nothing to create, start or delete" in lab.muster("plan").ok().answer
        found = lab.muster("list", "--json").ok().json()["clusters"]
        seen = {one["provider"]: one for one in found if one["cluster"] == lab.name}
        assert seen["softlayer"]["machines"] == dict.fromkeys(processors.billing(), "running")
        assert seen["ec2"]["machines"] == {extra: "running"}
        (spent,) = lab.muster("cost", "--json").ok().json()
        hourly = seen["softlayer"]["hourly"] + seen["ec2"]["hourly"]
        assert spent["machines"] == 3 and spent["hourly"] == pytest.approx(hourly) and spent["dollars"] > 0

        lab.destroy().ok()
        lab.nothing_left()
        assert lab.told(*keys.values()) == []
        lab.drop_results()


@pytest.mark.long
def test_a_master_that_comes_back_with_another_address(small, tmp_path: Path) -> None:
    """At EC2 a stop takes its public address: SoftLayer lets in the new one and the old one no more; runs go on."""
    with (
        ec2_account(tmp_path / "ec2") as masters,
        softlayer_account(tmp_path / "softlayer") as others,
        store_elsewhere(small, "swift") as (block, keys),
    ):
        there = {"datacenter": ["dal13"], **masters.keys()["ec2"]}
        groups = {
            **masters.groups,
            "extra": {"count": 1, "provider": "softlayer", "cores": 1, "memory_gb": 2, "data_disk_gb": 10},
        }
        lab = CloudLab(  # SoftLayer's account is found by HOME alone, which is the first one's
            tmp_path / "lab", others, masters, provider="ec2", nodes=1, groups=groups, object_store=block, softlayer=there
        )  # fmt: skip
        extra, vault = f"{lab.name}-extra-1", lab.vault(keys)

        def runs_there() -> str:
            """The master's public address, by which alone the machine elsewhere lets it in, and that a run went."""
            lab.playbook("start_cluster.yml", *vault).ok()
            lab.playbook("main.yml", "-e", "IMAGE_SIZE=16", *vault).ok()
            seen = f"{public(lab.addresses()[lab.master])}/32"
            assert extra in lab.muster("submit", "hostname; sleep 1", "--on", "extra").ok().output
            assert others.emulator.books.security.sources() == sorted([HERE, seen])
            look = "sudo nft list chain inet muster input; sudo cat /etc/muster/authorized_keys/hadoop.queue"
            rules = lab.ssh(extra, look, user="muster").ok().answer
            assert f'from="{seen}"' in rules and rules.count(seen.removesuffix("/32")) == 2
            return seen

        old = runs_there()
        lab.playbook("stop_cluster.yml").ok()
        local = masters.local_names()[lab.master]
        move({local: f"{lab.addresses()[lab.master].rpartition('.')[0]}.201"})
        new = runs_there()
        assert new != old
        for playbook in ("start_cluster.yml", "main.yml"):
            assert lab.playbook(playbook, "-e", "IMAGE_SIZE=16", *vault).ok().changed == 0
        lab.playbook("start_cluster.yml", "--check", *vault).ok()

        lab.destroy().ok()
        lab.nothing_left()
        lab.drop_results()
