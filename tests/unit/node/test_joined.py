"""When a node counts as joined, and what is said when it has not."""

from __future__ import annotations

import json

from muster_node import joined
from muster_node.daemons import DataNodes, SparkState


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
