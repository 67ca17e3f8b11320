"""One cluster at two clouds: most of it at SoftLayer, a machine at EC2, data from a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.core.paths import PROJECT
from tests.emulators.ec2.harness import Emulator as PaperEc2
from tests.emulators.softlayer.server import Emulator as PaperSoftLayer
from tests.system.clouds import CloudLab, checks, ec2_account, softlayer_account, store_elsewhere

GROUPS = {
    "master": {"cores": 2, "memory_gb": 3, "data_disk_gb": 20},
    "worker": {"cores": 2, "memory_gb": 2, "data_disk_gb": 20},
    "extra": {  # without a graphics card, which no emulator can have
        "count": 1,
        "provider": "ec2",
        "instance_type": "m5.xlarge",
        "spot": True,
        "max_price": 0.6,
        "data_disk_gb": 5,
    },
}


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
        lab = CloudLab(tmp_path / "lab", processors, graphics, nodes=2, groups=GROUPS, object_store=block)
        extra, vault = f"{lab.name}-extra-1", lab.vault(keys)
        lab.playbook("start_cluster.yml", *vault).ok()
        assert processors.billing() == sorted([lab.master, lab.worker(1)]) and graphics.billing() == [extra]
        assert lab.playbook("start_cluster.yml", *vault).ok().changed == 0

        lab.playbook("main.yml", "-e", "IMAGE_SIZE=16", *vault).ok()
        proofs = checks(lab)
        assert [name for name, proof in proofs.items() if not proof["ok"]] == []
        found = {name: proof["found"] for name, proof in proofs.items()}
        assert found["DataNodes"] == found["Workers"] == "2"
        assert found["Spark"] == "tasks on 2 of 2 Workers"
        assert "train_16 1,438 rows" in found["Data set"]
        assert "1 of 1 nodes" in found["Data copies"] and "train_16 1,438 rows" in found["Data copies"]
        assert "torch" in found["Deep learning"] and "3 of 3 nodes" in found["Deep learning"]

        assert "accuracy" in lab.muster("submit", "logistic_regression").ok().output
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
