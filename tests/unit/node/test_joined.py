"""When a node counts as joined, and what is said when it has not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import yaml

from muster_node import joined
from muster_node.daemons import DataNodes, HdfsState, SparkState
from provision.core.paths import PROJECT


def test_a_datanode_has_joined_when_listed_and_out_of_safe_mode() -> None:
    live = json.dumps({"w:9866": {"xferaddr": "10.0.0.2:9866"}})
    info = {"beans": [{"LiveNodes": live, "Safemode": ""}]}
    assert joined.datanode_missing(DataNodes.parse(info), "10.0.0.2") == ""
    assert "not registered" in joined.datanode_missing(DataNodes.parse(info), "10.0.0.20")
    info["beans"][0]["Safemode"] = "Safe mode is ON"
    assert "safe mode" in joined.datanode_missing(DataNodes.parse(info), "10.0.0.2")
    assert "not registered" in joined.datanode_missing(DataNodes.parse({"beans": []}), "10.0.0.2")


def test_a_worker_has_joined_when_alive() -> None:
    page = {"workers": [{"host": "w-1", "state": "DEAD"}, {"host": "10.0.0.3", "state": "ALIVE"}]}
    assert joined.worker_missing(SparkState.parse(page), "w-2", "10.0.0.3") == ""
    assert "not registered" in joined.worker_missing(SparkState.parse(page), "w-1", "10.0.0.2")


def test_a_units_log_is_cut_to_what_tells() -> None:
    log = "INFO old\n" + 3 * "Exception: no room\n\tat a.B.c(D.java:1)\n\t... 3 more\nunit: Failed\n"
    assert joined.telling(log) == "INFO old\nException: no room\nunit: Failed"


@pytest.mark.parametrize(
    ("ago_s", "done", "listed", "counted", "looks"),
    [
        (4, "", "", [4, 4, 3], 3),
        (4, "10.0.0.4\n", "", [4], 1),
        (4, "10.0.0.4\n", "", [5, 4], 2),
        (4, "10.0.0.4\n", "10.0.0.4", [4, 3], 2),
        (4, "", "", [3], 1),
        (10, "", "", [], 0),
    ],
    ids=["gone", "decommissioned", "both", "another at its address", "all", "long ago"],
)
def test_a_machine_that_is_gone_is_given_no_blocks_when_all_have_joined(
    ago_s: int,
    done: str,
    listed: str,
    counted: list[int],
    looks: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The NameNode counts it as living for a minute, sends readers to it, and whoever writes waits for one."""
    include, seen, given = tmp_path / "dfs.include", 0, iter(counted)
    include.touch()
    os.utime(include, (time.time() - ago_s,) * 2)

    def hdfs(_: str) -> HdfsState:
        nonlocal seen
        seen += 1
        return HdfsState(next(given), 0, 0, 0)

    monkeypatch.setattr(joined, "LOOK_EVERY_S", 0)
    monkeypatch.setattr(joined, "INCLUDE", include)
    monkeypatch.setattr(joined.decommission, "DONE", tmp_path / "done")
    (tmp_path / "done").write_text(done)
    monkeypatch.setattr(joined.daemons, "hdfs", hdfs)
    known = DataNodes(frozenset({listed}), safe_mode=False, number=3)
    monkeypatch.setattr(joined.daemons, "datanodes", lambda _: known)
    joined.wait_for_the_gone(joined.Plan(["hdfs-namenode"], "m", "10.0.0.1", "http://m", ""))
    assert seen == looks
    joined.wait_for_the_gone(joined.Plan(["hdfs-datanode"], "w", "10.0.0.2", "http://m", ""))
    assert seen == looks, "the NameNode's machine alone asks"


def test_dead_is_what_the_namenode_takes_for_it() -> None:
    """As hdfs-default.xml explains dfs.namenode.heartbeat.recheck-interval; heartbeats come every three seconds."""
    settings = yaml.safe_load((PROJECT / "group_vars/cluster.yml").read_text())["hdfs_settings"]
    recheck_s = settings["dfs.namenode.heartbeat.recheck-interval"] / 1000
    assert 2 * recheck_s + 10 * 3 == joined.decommission.DEAD_S


def test_stale_is_what_the_namenode_takes_for_it() -> None:
    role = yaml.safe_load((PROJECT / "roles/hdfs/vars/main.yml").read_text())
    assert role["__hdfs_site"]["dfs.namenode.stale.datanode.interval"] == joined.STALE_S * 1000
