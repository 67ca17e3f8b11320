"""What comes back: a worker after a reboot, a cluster after it was destroyed."""

from __future__ import annotations

from tests.system.lab import eventually


def whole(lab) -> bool:
    """Whether all Workers are there, a new file gets a copy on every machine, and no block is missing."""
    if lab.status()["services"]["workers"] != 3:
        return False
    script = (
        "hdfs dfs -D dfs.replication=3 -put -f /etc/hostname whole"
        " && hdfs fsck /user/hadoop/whole -files -blocks -locations && hdfs fsck / | tail -n 30"
    )
    said = lab.ssh(lab.master, script).answer
    addresses = [node["address"] for node in lab.machines().values()]
    return said.count("is HEALTHY") == 2 and all(f"[{address}:" in said for address in addresses)


def test_a_rebooted_worker_comes_back(ready):
    name = ready.worker(1)
    boot = (
        ready.ssh(
            name, "cat /proc/sys/kernel/random/boot_id; systemctl show --property=UserspaceTimestampMonotonic"
        )
        .ok()
        .answer
    )
    ready.ssh(name, "sudo systemctl reboot", user="muster", timeout=60)

    def back() -> bool:
        now = ready.ssh(
            name,
            "cat /proc/sys/kernel/random/boot_id; systemctl show --property=UserspaceTimestampMonotonic",
            timeout=30,
        )
        return now.status == 0 and now.answer != boot

    eventually(back, 60, f"{name} back")
    eventually(lambda: whole(ready), 90, "whole again")
    assert ready.playbook("start_cluster.yml").ok().changed == 0


def test_the_next_cluster_stages_what_is_there(ready, leftovers):
    """Destroy, start, main: the set comes from the object store and is not preprocessed anew."""
    ready.destroy().ok()
    ready.playbook("start_cluster.yml").ok()
    run = ready.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    assert "TASK [dataset : Put this node's share" in run.output
    assert "is made now" not in run.output, run.report()
    assert "TASK [dataset : Preprocess" not in run.output, run.report()
    assert ready.ssh(ready.master, "hdfs dfs -ls /datasets/digits/train_16").ok().answer.count("part-")
