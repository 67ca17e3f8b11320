"""EC2: an image of one's own, baked on a real machine behind the emulator; machines start from it, and it goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.core.paths import PROJECT
from tests.system.clouds import CloudLab, Ec2Account, ec2_account
from tests.system.lab import Started

pytestmark = pytest.mark.long

OF_ONE_MACHINE = "cat /etc/machine-id; sudo cat /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CloudLab]:
    """A cluster of two on an account that has the official image alone; asserts at the end that nothing is left."""
    with ec2_account(tmp_path / "aws", baked=False) as account:
        # Of its own recipe: `prune` spares what a config file of the project needs.
        own = {"packages": {"apt": ["hello"]}, "groups": Ec2Account.groups}
        made = CloudLab(tmp_path / "lab", account, nodes=2, **own)
        account.emulator.set(image_s=3, unseen_looks=1)
        yield made
        if made.state_dir.exists():
            made.destroy().ok()
        made.nothing_left()


def books(lab: CloudLab) -> dict[str, list[dict[str, str]]]:
    (account,) = lab.accounts
    assert isinstance(account, Ec2Account)
    return account.emulator.books()


def test_baked_once_started_from_and_removed(lab: CloudLab) -> None:
    lab.muster("images", "bake", timeout=2400).ok()
    (image,) = books(lab)["images"]
    assert image["state"] == "available" and not lab.billing
    assert not list(lab.state.glob("bake-*"))
    lab.muster("images", "bake").ok()
    assert len(books(lab)["orders"]) == 1, "what is there is not made again"

    start = lab.playbook("start_cluster.yml").ok()
    assert "Install the parts of the recipe" not in start.output
    assert {one["image"] for one in books(lab)["instances"] if one["state"] == "running"} == {image["id"]}
    found = [lab.ssh(name, OF_ONE_MACHINE, user="muster").ok().answer.split() for name in lab.names]
    assert len({machine for machine, _ in found}) == len({key for _, key in found}) == 2
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    lab.playbook("verify.yml").ok()

    assert image["id"] in lab.muster("images", "list").ok().answer
    lab.destroy().ok()
    lab.write(packages={"apt": ["hello", "hello-traditional"]})
    lab.muster("images", "prune", "--yes").ok()
    assert books(lab)["images"] == books(lab)["snapshots"] == []


def test_a_killed_bake_goes_on_with_the_same_builder(lab: CloudLab) -> None:
    bake = Started(lab, [str(PROJECT / "muster"), "-i", str(lab.config), "images", "bake"])
    while bake.process.poll() is None and not bake.said("hdfs : "):
        time.sleep(0.2)
    assert bake.process.poll() is None
    bake.kill(group=True)
    assert len(lab.billing) == 1 and not books(lab)["images"]
    lab.muster("images", "bake", timeout=2400).ok()
    assert len(books(lab)["orders"]) == len(books(lab)["images"]) == 1
    assert not lab.billing and not list(lab.state.glob("bake-*"))
