"""Things that break while a cluster works: one clear line; once mended, the same command goes on."""

from __future__ import annotations

import pytest

from provision.ssh import sharing

pytestmark = pytest.mark.long
STORE = "object-store"


@pytest.fixture
def single(labs):
    """A cluster of one node with a small data disk."""
    return labs(nodes=1, groups={"master": {"cores": 2, "memory_gb": 3, "data_disk_gb": 1}})


def test_the_object_store_is_down_during_staging(ready):
    """Not stopped, which main.yml would mend by itself, but out of the nodes' reach."""
    ready.ssh(ready.master, "hdfs dfs -rm -r -skipTrash /datasets/digits/train_16").ok()
    block = "nft insert rule inet muster input tcp dport 8080 reject with tcp reset"
    ready.ssh(STORE, f"sudo {block}", user="muster").ok()
    try:
        ready.playbook("main.yml", "-e", "IMAGE_SIZE=16").refused(
            r"object.store.*(reach|answer|refused|down)"
        )
    finally:
        ready.ssh(STORE, "sudo nft -f /etc/muster/firewall.nft", user="muster").ok()
    ready.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    assert "part-" in ready.ssh(ready.master, "hdfs dfs -ls /datasets/digits/train_16").ok().answer


def test_the_data_disk_is_full(single):
    single.up(16)
    single.ssh(single.master, "hdfs dfs -rm -r -skipTrash /datasets/digits/train_16").ok()
    fill = "df --output=avail -B1 /data | tail -n 1 | xargs -I{} fallocate -l {} /data/fill; df /data"
    single.ssh(single.master, f"sudo sh -c '{fill}'", user="muster").ok()
    single.playbook("main.yml", "-e", "IMAGE_SIZE=16").refused(r"(full|space|room)")
    single.ssh(single.master, "sudo rm /data/fill", user="muster").ok()
    single.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()


def test_the_port_of_the_spark_master_is_taken(single):
    """It does not go to another one, where nobody would find it, and says why."""
    single.up(16)
    single.ssh(single.master, "sudo systemctl stop spark-master", user="muster").ok()
    single.ssh(single.master, "sudo systemd-run --unit=taker python3 -m http.server 8080", user="muster").ok()
    single.playbook("main.yml", "-e", "IMAGE_SIZE=16").refused(r"spark-master has failed.*:8080")
    single.ssh(single.master, "sudo systemctl stop taker", user="muster").ok()
    single.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()


def test_an_unreachable_worker_is_named_and_stops_nobody_else(ready):
    """Its SSH does not answer; the others are done all the same, and the run fails."""
    name = ready.worker(2)
    block = "nft insert rule inet muster input tcp dport 22 drop"
    undo = "systemd-run --on-active=60 nft -f /etc/muster/firewall.nft"
    ready.ssh(name, f"sudo sh -c '{undo} && {block}'", user="muster", timeout=20)
    sharing.close(ready.state_dir.resolve())
    run = ready.playbook("main.yml", "-e", "IMAGE_SIZE=16")
    run.refused(name)
    ready.ssh(ready.master, "true", user="muster").ok()
