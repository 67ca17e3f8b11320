"""A cluster of two providers: the second one's machine meets the first one's only in an object store elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.clouds import checks, store_elsewhere
from tests.system.hosts import Hosts
from tests.system.lab import Lab

pytestmark = pytest.mark.long


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path / "hosts", 1, memory_gb=1.5)
    yield made
    made.close()


@pytest.fixture
def elsewhere(request, small, tmp_path) -> Iterator[tuple[dict, dict]]:
    """What the config file says of the store, and its keys as a vault has them."""
    if request.param == "folder":
        (tmp_path / "store").mkdir()
        yield {"kind": "folder", "path": str(tmp_path / "store")}, {"store_secret_key": "not used"}
        return
    with store_elsewhere(small, request.param) as found:
        yield found


@pytest.mark.parametrize("elsewhere", ["s3", "swift", "folder"], indirect=True)
def test_a_gpu_group_elsewhere_stages_from_the_store(elsewhere, theirs, labs, tmp_path):
    """The cluster makes the set first, in the store and over the store's own protocol; then both sites get it."""
    block, keys = elsewhere
    secrets = tmp_path / "secrets.yml"
    secrets.write_text(json.dumps(keys))
    name = f"scans-{block['kind']}"
    gpu_group = {"count": 1, "provider": "existing", "cores": 2, "memory_gb": 2, "hosts": theirs.entries()}
    lab = labs(
        nodes=1,
        groups={"master": {"cores": 2, "memory_gb": 3, "data_disk_gb": 5}, "gpu": gpu_group},
        object_store=block,
        dataset={"source": "digits", "name": name},
    )
    gpu = f"{lab.name}-gpu-1"
    if block["kind"] == "s3":
        refused(lab, block, secrets)
    lab.up(16, "-e", f"@{secrets}")
    assert lab.playbook("main.yml", "-e", "IMAGE_SIZE=16", "-e", f"@{secrets}").ok().changed == 0
    found = {name: proof["found"] for name, proof in checks(lab).items() if proof["ok"]}
    assert set(found) == set(checks(lab))
    assert "1 of 1 nodes" in found["Data copies"]
    assert "train_16 1,438 rows" in found["Data copies"]
    assert "2 of 2 nodes" in found["Deep learning"]
    assert "part-00000" in lab.ssh(gpu, f"ls /data/datasets/{name}/train_16").ok().answer
    master = lab.machines()[lab.master]["address"]
    rules = lab.ssh(gpu, "sudo nft list table inet muster; cat /etc/hosts", user="muster").ok().answer
    assert master not in rules
    assert f"{name}/train_16" in lab.muster("data", "list").ok().answer
    lab.ssh(gpu, f"rm /data/datasets/{name}/train_16/part-00000.csv.gz").ok()
    lab.muster("verify").refused("is missing or has another size")
    lab.destroy().ok()
    assert not lab.machines()
    assert not lab.state_dir.exists()
    left = theirs.ssh(0, "getent passwd muster hadoop; ls -d /data/* /opt/muster 2> /dev/null || true")
    assert left.strip() == ""
    assert keys["store_secret_key"] not in (lab.folder / "log").read_text()


def refused(lab: Lab, block: dict, secrets: Path) -> None:
    """What cannot work is said in one line before any machine is made."""
    lab.write(object_store={"kind": "none"})
    lab.playbook("start_cluster.yml").refused(
        r"groups\.gpu at existing reaches no HDFS and there is no object"
    )
    lab.write(object_store={**block, "container": "nothere"})
    lab.playbook("start_cluster.yml", "-e", f"@{secrets}").refused(
        "Make the container, or correct object_store"
    )
    lab.write(object_store=block)
    lab.playbook("start_cluster.yml").refused("there are no keys for it. Put store_access_key")
    assert not lab.machines()
