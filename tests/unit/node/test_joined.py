"""When a node counts as joined, and what is said when it has not."""

from __future__ import annotations

import json

import pytest
import yaml

from muster_node import joined
from muster_node.daemons import DataNodes, SparkState
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


def test_a_machine_that_is_gone_is_given_no_blocks_when_all_have_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The NameNode counts it as living for ten minutes, and whoever writes to it waits for one."""
    heard = iter([{"10.0.0.2": 1.0, "10.0.0.9": 8.0}, {"10.0.0.2": 1.0, "10.0.0.9": 10.0}])
    monkeypatch.setattr(joined, "LOOK_EVERY_S", 0)
    monkeypatch.setattr(
        joined.daemons, "datanodes", lambda _: DataNodes(frozenset(), safe_mode=False, silent_s=next(heard))
    )
    plan = joined.Plan([], "m", "10.0.0.1", "http://m", "", members=["10.0.0.1", "10.0.0.2"])
    joined.wait_for_the_gone(plan)
    assert not list(heard), "looked until it had been silent for long enough"
    role = yaml.safe_load((PROJECT / "roles/hdfs/vars/main.yml").read_text())
    assert role["__hdfs_site"]["dfs.namenode.stale.datanode.interval"] == joined.STALE_S * 1000
