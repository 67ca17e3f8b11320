"""EC2: the journey on an emulator that speaks its protocol and boots real nodes with the given user-data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from lab import ROOT, Lab, eventually, registry

from provision import config, images, recipe
from provision.timeline import ConsoleReporter
from tests.emulators.ec2.harness import REGION, Emulator

LITTLE = {"instance_type": "t3.micro", "cores": 1, "memory_gb": 1, "data_disk_gb": 1}


class Ec2Lab(Lab):
    """A cluster at the emulator; no account of anybody's can be reached from its commands."""

    def __init__(self, folder: Path, emulator: Emulator, **keys: Any) -> None:
        self.emulator = emulator
        groups = {
            "master": {"instance_type": "t3.medium", "memory_gb": 3, "data_disk_gb": 20},
            "worker": {"instance_type": ["t3.small", "t3.medium"], "data_disk_gb": 20},
        }
        own = {"address_service": f"{emulator.url}/checkip"}
        defaults = {"provider": "ec2", "groups": groups, "object_store": {"kind": "none"}, "ec2": own}
        super().__init__(folder, "", **{"nodes": 2, **defaults, **keys})

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in super().environment().items() if not key.startswith("AWS_")}
        return kept | self.emulator.environment()

    @property
    def instances(self) -> dict[str, dict[str, Any]]:
        """Return the machines that are billed, by id."""
        return {one["id"]: one for one in self.emulator.alive()}


Maker = Callable[..., Ec2Lab]


@pytest.fixture
def ec2(tmp_path: Path) -> Iterator[Maker]:
    """Makes an emulator and a cluster on it; asserts at the end that nothing is left of either."""
    made: list[Ec2Lab] = []
    emulators: list[Emulator] = []

    def make(*, baked: bool = True, **keys: Any) -> Ec2Lab:
        emulators.append(Emulator(tmp_path / "aws", machines=True, recipes=[layer()] if baked else []))
        emulator = emulators[0].__enter__()
        emulator.set(pending_s=1, stopping_s=0.5, shutting_down_s=0.5)
        made.append(Ec2Lab(tmp_path / "lab", emulator, **keys))
        return made[0]

    try:
        yield make
        for lab in made:
            if lab.state_dir.exists():
                lab.destroy().ok()
            assert lab.emulator.left_over() == []
    finally:
        for emulator in emulators:
            emulator.__exit__()
    assert not [one for one in emulators if one.cluster_id in registry()["networks"]]


def layer() -> str:
    """Return the key of the baked layer of nodes, made when it is missing."""
    spec = config.load(ROOT / "inventories" / "local.yml")
    return images.ensure(recipe.node_recipe(spec, spec.group("worker")), ConsoleReporter())


def test_the_journey(ec2: Maker) -> None:
    """Start, services, verify; stopped at AWS's console and started again; destroyed without traces."""
    lab = ec2()
    start = lab.playbook("start_cluster.yml").ok()
    assert "Install the parts of the recipe" not in start.output, "its image has everything installed"
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    services = lab.status()["services"]
    assert (services["datanodes"], services["workers"]) == (2, 2)
    worker = (
        lab.ssh(lab.worker(1), "hostname; findmnt -no SOURCE /data; cat /etc/muster/data-disk.env")
        .ok()
        .answer
    )
    assert worker.split()[0] == lab.worker(1) and "nvme-Amazon_Elastic_Block_Store_vol0" in worker
    lab.ssh(lab.master, "echo still here | hdfs dfs -put - kept").ok()

    console = boto3.session.Session().client(
        "ec2",
        region_name=REGION,
        endpoint_url=lab.emulator.url,
        aws_access_key_id=lab.emulator.access_key,
        aws_secret_access_key="x",
    )
    console.stop_instances(InstanceIds=list(lab.instances))
    lab.playbook("start_cluster.yml").ok()
    eventually(
        lambda: "still here" in lab.ssh(lab.master, "hdfs dfs -cat kept 2>/dev/null").answer, 60, "read back"
    )
    lab.destroy().ok()
    assert lab.emulator.left_over() == []


@pytest.mark.long
def test_from_the_official_image(ec2: Maker) -> None:
    """Without an image of one's own everything is installed on the machines."""
    lab = ec2(baked=False, nodes=1, groups={"master": {"instance_type": "t3.medium", "memory_gb": 3}})
    lab.playbook("start_cluster.yml", timeout=1200).ok()
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()


@pytest.mark.long
@pytest.mark.parametrize("moment", ['"open"', '"done"', '"pin"'])
def test_killed_while_machines_are_made(ec2: Maker, moment: str) -> None:
    lab = ec2(groups={"master": LITTLE, "worker": LITTLE})
    lab.emulator.set(invisible_s=2)
    journal = lab.state_dir / "journal.jsonl"
    assert lab.kill_after(lambda: journal.exists() and moment in journal.read_text(), "start_cluster.yml")
    lab.playbook("start_cluster.yml").ok()
    orders = lab.emulator.books()["orders"]
    assert sum(order["count"] for order in orders) == len(lab.instances) == 2


@pytest.mark.long
def test_destroyed_after_a_kill_while_machines_are_made(ec2: Maker) -> None:
    lab = ec2(groups={"master": LITTLE, "worker": LITTLE})
    lab.emulator.set(invisible_s=5)
    assert lab.kill_after(lambda: bool(lab.emulator.books()["orders"]), "start_cluster.yml")
    lab.destroy().ok()
    assert lab.emulator.left_over() == []


@pytest.mark.long
def test_a_spot_machine_that_is_taken_away_is_replaced(ec2: Maker) -> None:
    lab = ec2(groups={"master": LITTLE, "worker": {**LITTLE, "spot": True}})
    lab.playbook("start_cluster.yml").ok()
    spot = [one["id"] for one in lab.instances.values() if one["market"] == "spot"]
    assert len(spot) == 1 and len(lab.instances) == 2
    lab.emulator.interrupt(*spot)
    lab.playbook("start_cluster.yml").ok()
    assert len(lab.instances) == 2 and spot[0] not in lab.instances
    assert lab.ssh(lab.worker(1), "hostname").ok().answer.strip() == lab.worker(1)
