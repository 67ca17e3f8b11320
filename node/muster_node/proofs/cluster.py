"""Proofs of the whole cluster, made on the master: counts, a round trip through HDFS, a Spark application."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Sequence
from io import BytesIO

from muster_node import daemons
from muster_node.hdfs.webhdfs import Hdfs
from muster_node.proofs.plan import Plan, Unknown
from muster_node.proofs.programs import PYTHON, run

ROUND_TRIP_BYTES = 2 * 2**20
EXECUTOR_MEMORY_MB = 512
BUSY = "busy with another application"
SPARK_OPTIONS = {
    "spark.executor.cores": "1",
    "spark.executor.memory": f"{EXECUTOR_MEMORY_MB}m",
    "spark.driver.memory": "512m",
    "spark.scheduler.minRegisteredResourcesRatio": "1.0",
    "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    "spark.ui.enabled": "false",
    "spark.eventLog.enabled": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
}


def members(plan: Plan, there: Collection[str], wished: Sequence[str]) -> tuple[bool, str]:
    """Say whether all wished nodes are among the names and addresses in `there`."""
    missing = [name for name in wished if not {name, plan.addresses.get(name, name)} & set(there)]
    short = max(plan.wish - len(wished), 0)
    found = f"{len(wished) - len(missing)}"
    if missing:
        found += f"; missing: {', '.join(missing)}"
    if short:
        found += f"; {short} machines were never made"
    return not missing and not short, found


def datanodes(plan: Plan) -> tuple[bool, str]:
    """Compare the living DataNodes with the wish."""
    known = daemons.datanodes(plan.namenode_url)
    if known.safe_mode:
        return False, "the NameNode is in safe mode"
    return members(plan, known.live, plan.datanodes)


def workers(plan: Plan) -> tuple[bool, str]:
    """Compare the living Workers with the wish."""
    alive = daemons.spark(plan.master_url).workers
    return members(plan, {worker.host for worker in alive}, plan.workers)


def round_trip(plan: Plan) -> tuple[bool, str]:
    """Write a file of random bytes into HDFS, read it back, compare, delete it."""
    hdfs = Hdfs(plan.namenode_url)
    content = secrets.token_bytes(ROUND_TRIP_BYTES)
    path = f"/user/hadoop/.muster-verify-{secrets.token_hex(4)}"
    try:
        hdfs.write(path, BytesIO(content), len(content), copies=min(3, len(plan.datanodes)))
        back = hdfs.read(path) or b""
    finally:
        hdfs.remove(path)
    same = hashlib.sha256(back).digest() == hashlib.sha256(content).digest()
    return same, f"{len(back) // 2**20} MiB, checksum {'equal' if same else 'differs'}"


def spark(plan: Plan) -> tuple[bool, str]:
    """Run one application with one task on every living Worker, all in the Python of jobs."""
    alive = daemons.spark(plan.master_url).workers
    if not alive:
        return False, "no Worker"
    busy = [
        each for each in alive if each.cores <= each.cores_used or each.memory_free_mb < EXECUTOR_MEMORY_MB
    ]
    if busy:
        raise Unknown(f"{len(busy)} of {len(alive)} Workers are {BUSY}")
    options = {**SPARK_OPTIONS, "spark.cores.max": str(len(alive))}
    arguments = [f'--conf "{key}={value}"' for key, value in options.items()]
    environment = {
        **os.environ,
        "PYSPARK_SUBMIT_ARGS": " ".join([*arguments, "pyspark-shell"]),
        **plan.environment,
    }
    answer = json.loads(run("spark_application", str(len(alive)), environment=environment))
    right = answer["sum"] == sum(number * number for number in range(100 * len(alive)))
    found = f"tasks on {len(answer['hosts'])} of {len(alive)} Workers" + ("" if right else ", wrong sum")
    if others := answer["others"]:
        found += "".join(f", {host} computes with {python}" for host, python in sorted(others.items()))
        found += f" instead of {PYTHON}"
    return right and not others and len(answer["hosts"]) == len(alive), found
