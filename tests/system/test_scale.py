"""From three nodes to four and back, without touching what runs on the old ones."""

from __future__ import annotations

import re

import pytest

UNITS = "hdfs-namenode hdfs-datanode spark-master spark-worker spark-history"
ASK = f"systemctl show --property=Id,MainPID,ActiveEnterTimestampMonotonic,NRestarts {UNITS}"


@pytest.fixture(scope="module")
def grown(_shared):
    """The shared cluster with a fourth node; three nodes again afterwards."""
    lab = _shared
    before = {name: daemons(lab, name) for name in lab.names}
    try:
        lab.playbook("start_cluster.yml", "-e", "NUM_NODES=4").ok()
        lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
        yield lab, before
    finally:
        lab.playbook("start_cluster.yml", "-e", "NUM_NODES=3", "-e", "SCALE_IN=true").ok()
        lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()


def daemons(lab, name: str) -> str:
    shown = lab.ssh(name, ASK, user="muster").ok().answer
    assert re.search(r"MainPID=[1-9]", shown), shown
    return shown


def test_no_daemon_on_an_old_node_restarts(grown):
    lab, before = grown
    assert {name: daemons(lab, name) for name in before} == before


def test_the_new_node_serves(grown):
    lab, _ = grown
    new = lab.worker(3)
    assert sorted(lab.machines()) == sorted([*lab.names, new])
    status = lab.status()
    assert (status["wish"], status["services"]["datanodes"], status["services"]["workers"]) == (4, 4, 4)


def test_hosts_file_include_list_and_firewall_follow(grown):
    lab, _ = grown
    new = lab.worker(3)
    address = lab.machines()[new]["address"]
    for name in [*lab.names, new]:
        assert re.search(
            rf"^{re.escape(address)}\s+{new}\b", lab.ssh(name, "cat /etc/hosts").answer, re.MULTILINE
        )
        assert address in lab.ssh(name, "sudo nft list ruleset", user="muster").ok().answer
    include = lab.ssh(lab.master, "sudo cat /etc/hadoop/dfs.include", user="muster").ok().answer
    assert new in include or address in include


def test_the_size_is_remembered(grown):
    """Without NUM_NODES the last wish counts, not the number in the file."""
    lab, _ = grown
    assert lab.playbook("start_cluster.yml").ok().changed == 0
    assert len(lab.machines()) == 4


def test_smaller_does_nothing_until_told(grown):
    lab, _ = grown
    run = lab.playbook("start_cluster.yml", "-e", "NUM_NODES=3")
    run.refused(rf"{lab.worker(3)}.*SCALE_IN|SCALE_IN.*{lab.worker(3)}")
    assert len(lab.machines()) == 4


def test_smaller_keeps_files_and_the_name_can_be_had_again(grown):
    """HDFS has its one copy of a file on the node that goes; the next of that name has another host key."""
    lab, _ = grown
    before = lab.machines()[lab.worker(3)]
    write = (
        "seq 100000 > kept && hdfs dfs -D dfs.replication=1 -put -f kept /user/hadoop/ && sha256sum < kept"
    )
    digest = lab.ssh(lab.worker(3), write).ok().answer
    lab.playbook("start_cluster.yml", "-e", "NUM_NODES=3", "-e", "SCALE_IN=true").ok()
    assert sorted(lab.machines()) == sorted(lab.names)
    assert lab.status()["services"]["datanodes"] == 3
    try:
        assert lab.ssh(lab.master, "hdfs dfs -cat /user/hadoop/kept | sha256sum").ok().answer == digest
    finally:
        lab.playbook("start_cluster.yml", "-e", "NUM_NODES=4").ok()
        lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    assert lab.machines()[lab.worker(3)]["unit"] != before["unit"]
