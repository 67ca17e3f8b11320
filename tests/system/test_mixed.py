"""A cluster of two providers: the second one's machine meets the first one's only in an object store elsewhere."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hosts import Hosts
from lab import Lab, eventually

pytestmark = pytest.mark.long
STORE = "object-store"


@contextmanager
def published(lab: Lab, address: str) -> Iterator[str]:
    """Make the store of a cluster reachable at an address of this computer; yields host:port."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    forward = f"{address}:{port}:{STORE}:8080"
    command = ["ssh", "-F", lab.state_dir / "ssh_config", "-S", "none", "-N", "-L", forward, STORE]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: listens(address, port), 20, "published")
            yield f"{address}:{port}"
        finally:
            process.terminate()


def listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path / "hosts", 1, memory_gb=1.5)
    yield made
    made.close()


@pytest.fixture
def elsewhere(request, small, theirs, tmp_path) -> Iterator[tuple[dict, dict]]:
    """What the config file says of the store, and its keys as a vault has them.

    The store of another cluster, which is up for nothing else, stands for one that somebody else runs.
    """
    if request.param == "folder":
        (tmp_path / "store").mkdir()
        yield {"kind": "folder", "path": str(tmp_path / "store")}, {"store_secret_key": "not used"}
        return
    small.playbook("start_cluster.yml").ok()
    small.playbook("playbooks/services.yml", "--limit", STORE).ok()
    known = json.loads((small.state_dir / "secrets" / "store.json").read_text())
    keys = {"store_access_key": known["access_key"], "store_secret_key": known["secret_key"]}
    gateway = theirs.addresses[0].rpartition(".")[0] + ".1"
    with published(small, gateway) as place:
        path = "/auth/v1.0" if request.param == "swift" else ""
        yield {"kind": request.param, "endpoint": f"http://{place}{path}"}, keys


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
    report = json.loads((lab.state_dir / "reports" / "verify.json").read_text())
    found = {check["name"]: check["found"] for check in report["checks"]}
    assert report["ready"]
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
