"""`muster-status`, on the master: what HDFS, Spark and the queue of jobs say, in one line of JSON."""

from __future__ import annotations

import json
import socket
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from muster_node import daemons
from muster_node.queue import records

LOOK_TIMEOUT_S = 2.0


def main() -> int:
    """Print {hdfs, spark, jobs}; what does not answer is null."""
    host = socket.gethostname()
    found: dict[str, Any] = {"hdfs": None, "spark": None, "jobs": []}
    with suppress(OSError, ValueError):
        found["hdfs"] = asdict(_hdfs(f"http://{host}:{daemons.NAMENODE_PORT}"))
    with suppress(OSError, ValueError):
        found["spark"] = asdict(daemons.spark(f"http://{host}:{daemons.MASTER_PORT}", LOOK_TIMEOUT_S))
    with suppress(OSError):
        found["jobs"] = [record.run for record in records.every() if record.state not in records.FINAL]
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _hdfs(url: str) -> daemons.HdfsState:
    """Machines that were deleted count as living for a minute: those count that the NameNode lists."""
    listed = daemons.datanodes(url, LOOK_TIMEOUT_S).number
    return replace(daemons.hdfs(url, LOOK_TIMEOUT_S), datanodes=listed)
