"""EC2: clusters at an emulator that speaks its protocol and boots real nodes with the given user-data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.emulators.ec2.harness import REGION, Emulator
from tests.system.clouds import CloudLab, Ec2Account, ec2_account

Maker = Callable[..., CloudLab]


@pytest.fixture
def ec2(tmp_path: Path) -> Iterator[Maker]:
    """Makes a cluster of two machines on an account of its own; asserts at the end that nothing is left."""
    made: list[CloudLab] = []
    with ExitStack() as accounts:

        def make(*, baked: bool = True, **keys: Any) -> CloudLab:
            account = accounts.enter_context(ec2_account(tmp_path / "aws", baked=baked))
            made.append(CloudLab(tmp_path / "lab", account, **{"nodes": 2, **keys}))
            return made[0]

        yield make
        for lab in made:
            if lab.state_dir.exists():
                lab.destroy().ok()
            lab.nothing_left()


def emulator(lab: CloudLab) -> Emulator:
    (account,) = lab.accounts
    assert isinstance(account, Ec2Account)
    return account.emulator


def test_services_come_up(ec2: Maker) -> None:
    """Machines with their data disks, and HDFS and Spark on them; deleted without traces."""
    lab = ec2(groups=Ec2Account.groups)
    start = lab.playbook("start_cluster.yml").ok()
    assert "Install the parts of the recipe" not in start.output, "its image has everything installed"
    lab.playbook("playbooks/services.yml").ok()
    services = lab.status()["services"]
    assert (services["datanodes"], services["workers"]) == (2, 2)
    look = "hostname; findmnt -no SOURCE /data; cat /etc/muster/data-disk.env"
    worker = lab.ssh(lab.worker(1), look).ok().answer
    assert worker.split()[0] == lab.worker(1) and "nvme-Amazon_Elastic_Block_Store_vol0" in worker
    lab.destroy().ok()
    lab.nothing_left()


@pytest.mark.long
def test_stopped_at_the_console(ec2: Maker) -> None:
    """Machines that somebody has stopped by other means are started again."""
    lab = ec2()
    lab.playbook("start_cluster.yml").ok()
    console = boto3.session.Session().client(
        "ec2",
        region_name=REGION,
        endpoint_url=emulator(lab).url,
        aws_access_key_id=emulator(lab).access_key,
        aws_secret_access_key="x",
    )
    console.stop_instances(InstanceIds=[one["id"] for one in emulator(lab).alive()])
    lab.playbook("start_cluster.yml").ok()
    assert lab.ssh(lab.worker(1), "hostname").ok().answer.strip() == lab.worker(1)


def test_from_the_official_image(ec2: Maker) -> None:
    """Without an image of one's own everything is installed on the machines, as first boot left them."""
    lab = ec2(baked=False, nodes=1, groups={"master": {"instance_type": "t3.medium", "memory_gb": 3}})
    lab.playbook("start_cluster.yml", timeout=1200).ok()
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    unread = "find /usr/share/man /usr/share/doc -path '*openjdk*' -type f"
    assert lab.ssh(lab.master, unread, user="muster").ok().answer == ""
    compiled = "find /usr/lib/python3/dist-packages/pandas -name '*.pyc'"
    found = lab.ssh(lab.master, compiled, user="muster").ok().answer
    assert "/core/frame." in found.replace("__pycache__/", "") and "/tests/" not in found


@pytest.mark.long
@pytest.mark.parametrize("moment", ['"open"', '"done"', '"pin"'])
def test_killed_while_machines_are_made(ec2: Maker, moment: str) -> None:
    lab = ec2()
    emulator(lab).set(invisible_s=2)
    journal = lab.state_dir / "journal.jsonl"
    assert lab.kill_after(lambda: journal.exists() and moment in journal.read_text(), "start_cluster.yml")
    lab.playbook("start_cluster.yml").ok()
    (account,) = lab.accounts
    assert account.ordered() == len(lab.billing) == 2


@pytest.mark.long
def test_destroyed_after_a_kill_while_machines_are_made(ec2: Maker) -> None:
    lab = ec2()
    emulator(lab).set(invisible_s=5)
    assert lab.kill_after(lambda: bool(emulator(lab).books()["orders"]), "start_cluster.yml")
    lab.destroy().ok()
    assert emulator(lab).left_over() == []


@pytest.mark.long
def test_a_spot_machine_that_is_taken_away_is_replaced(ec2: Maker) -> None:
    lab = ec2(groups={"master": Ec2Account.little, "worker": {**Ec2Account.little, "spot": True}})
    lab.playbook("start_cluster.yml").ok()
    (spot,) = [one["id"] for one in emulator(lab).alive() if one["market"] == "spot"]
    emulator(lab).interrupt(spot)
    lab.playbook("start_cluster.yml").ok()
    left = [one["id"] for one in emulator(lab).alive()]
    assert len(left) == 2 and spot not in left
    assert lab.ssh(lab.worker(1), "hostname").ok().answer.strip() == lab.worker(1)
