"""Clusters on the emulated SoftLayer account, whose guests are real machines of this computer."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import Lab, registry

from provision import config, images
from provision.recipe import node_recipe
from provision.timeline import ConsoleReporter
from tests.emulators.softlayer.books import Delays
from tests.emulators.softlayer.machines import Local
from tests.emulators.softlayer.server import API_KEY, Emulator

KEYS = {
    "provider": "softlayer",
    "groups": {
        "master": {"cores": 2, "memory_gb": 3, "data_disk_gb": 20},
        "worker": {"cores": 2, "memory_gb": 2, "data_disk_gb": 20},
    },
    "object_store": {"kind": "none"},
    "softlayer": {"datacenter": ["dal13", "dal10"], "private_only": True},
    "deadlines": {"settle": 5},
}


class SoftLayerLab(Lab):
    """A cluster on an emulated account; its commands find no other one."""

    def __init__(self, folder: Path, emulator: Emulator, **keys: object) -> None:
        super().__init__(folder, "unused", **{**KEYS, "nodes": 2, **keys})
        self.emulator = emulator

    def environment(self) -> dict[str, str]:
        return self.emulator.environment(super().environment())

    def bake(self) -> None:
        """Give the account the image that this computer has baked."""
        spec = config.load(self.config)
        key = images.ensure(node_recipe(spec, spec.group("worker")), ConsoleReporter())
        self.emulator.add_image(f"muster-{key}")

    def nothing_left(self) -> None:
        """Assert that neither the account nor this computer has anything left of the cluster."""
        end = time.monotonic() + 20
        while True:
            billing, found = self.emulator.books.billing(), registry()
            here = [name for name in found["networks"] if name == self.emulator.machines.id]
            here += [
                node["name"]
                for node in found["nodes"].values()
                if node["cluster_id"] == self.emulator.machines.id
            ]
            if not billing and not here:
                break
            assert time.monotonic() < end, (billing, here)
            time.sleep(0.2)
        assert not self.state_dir.exists()
        assert self.emulator.books.violations == [] and self.emulator.machines.failures == []


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[SoftLayerLab]:
    """A cluster of two guests on an account of the test's own."""
    emulator = Emulator(tmp_path / "home", machines=Local(), delays=Delays(provision=0.5, reclaim=0.2))
    made = SoftLayerLab(tmp_path / "lab", emulator)
    try:
        yield made
    finally:
        emulator.close()


def test_journey(lab: SoftLayerLab) -> None:
    lab.bake()
    lab.playbook("start_cluster.yml").ok()
    assert lab.playbook("start_cluster.yml").ok().changed == 0
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    assert lab.emulator.books.orders == [[lab.master], [lab.worker(1)]]
    services = lab.status()["services"]
    assert (services["datanodes"], services["workers"]) == (2, 2), services
    disks = json.loads(lab.ssh(lab.worker(1), "findmnt --json --output SOURCE,TARGET").ok().answer)
    assert "/dev/xvdc" in json.dumps(disks)
    told = [
        path for path in lab.folder.rglob("*") if path.is_file() and API_KEY.encode() in path.read_bytes()
    ]
    assert told == [], "the API key stands in a log, a journal or a report"
    lab.destroy().ok()
    lab.nothing_left()


@pytest.mark.long
def test_without_an_image_everything_is_installed_on_the_nodes(lab: SoftLayerLab) -> None:
    lab.playbook("start_cluster.yml", timeout=1500).ok()
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    assert lab.status()["services"]["datanodes"] == 2
    lab.destroy().ok()
    lab.nothing_left()


@pytest.mark.long
@pytest.mark.parametrize("moment", ["createObjects", "setTags", "getVirtualGuests"])
def test_killed_during_create(lab: SoftLayerLab, moment: str) -> None:
    """kill -9 around each kind of call; the same command again makes what was wished, once."""
    lab.bake()
    begun = lab.emulator.calls[moment]
    assert lab.kill_after(lambda: lab.emulator.calls[moment] > begun, "start_cluster.yml")
    lab.playbook("start_cluster.yml").ok()
    assert lab.emulator.books.billing() == sorted(lab.names)
    lab.destroy().ok()
    lab.nothing_left()


def test_the_commands_of_a_lab_cannot_reach_a_real_account(lab: SoftLayerLab) -> None:
    environment = lab.environment()
    assert environment["HOME"] != os.environ.get("HOME")
    assert not [name for name in environment if name.startswith("SL_") or name.lower().endswith("_proxy")]
    assert "127.0.0.1" in (Path(environment["HOME"]) / ".softlayer").read_text()
