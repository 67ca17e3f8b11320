"""What a running cluster says about itself: one call to the master asks NameNode, Master, job queue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.core.errors import MusterError
from provision.core.text import size
from provision.planning.nodes import roles
from provision.ssh.run import pick_machine, run_on
from provision.state.folder import State

if TYPE_CHECKING:
    from provision.core.model import Node

PROGRAM = "/opt/muster/bin/muster-status"


@dataclass(frozen=True)
class Live:
    """What answers. None = it does not. `capacity` and `used` are bytes of HDFS."""

    reached: bool = False
    why: str = ""
    datanodes: int | None = None
    capacity: int = 0
    used: int = 0
    workers: int | None = None
    cores: int = 0
    cores_used: int = 0
    applications: tuple[str, ...] = ()
    jobs: tuple[str, ...] = field(default=())


def look(state_dir: Path, cluster: str) -> Live:
    """Ask the master. Never raises for a cluster that does not answer: that is an answer too."""
    state = State(state_dir)
    if not state.ssh_config.is_file():
        return Live(why="not started")
    try:
        master = pick_machine("", cluster, list(state.targets()))
        return parse(run_on(state.ssh_config, master, PROGRAM, timeout_s=10))
    except MusterError as error:
        return Live(why=error.what)


def parse(text: str) -> Live:
    """Turn the output of muster-status into a Live."""
    try:
        found = json.loads(text)
    except ValueError:
        return Live(why="its programs are not installed yet; run main.yml")
    hdfs, spark = found["hdfs"], found["spark"]
    workers = spark["workers"] if spark else ()
    return Live(
        reached=True,
        datanodes=hdfs["datanodes"] if hdfs else None,
        capacity=hdfs["capacity"] if hdfs else 0,
        used=hdfs["used"] if hdfs else 0,
        workers=len(workers) if spark else None,
        cores=sum(worker["cores"] for worker in workers),
        cores_used=sum(worker["cores_used"] for worker in workers),
        applications=tuple(spark["applications"]) if spark else (),
        jobs=tuple(found["jobs"]),
    )


def lines(live: Live) -> list[str]:
    """Return what a person wants to read of it."""
    if not live.reached:
        return [f"The master does not answer: {live.why}"]
    hdfs = "does not answer (not started?)"
    if live.datanodes is not None:
        hdfs = f"{live.datanodes} DataNodes, {size(live.used)} of {size(live.capacity)} used"
    spark = "does not answer (not started?)"
    if live.workers is not None:
        spark = f"{live.workers} Workers, {live.cores_used} of {live.cores} cores in use"
    return [
        f"HDFS   {hdfs}",
        f"Spark  {spark}",
        f"Runs   {', '.join(live.applications) or 'no application'}; jobs: {', '.join(live.jobs) or 'none'}",
        "Pages  NameNode 9870, Master 8080, History 18080, all behind the firewall: ./muster ui opens them",
    ]


def as_json(cluster: str, wish: int, nodes: Sequence[Node], live: Live) -> dict[str, Any]:
    """Return everything that status knows, for a program."""
    return {
        "cluster": cluster,
        "wish": wish,
        "nodes": [
            {
                "name": node.name,
                "group": node.group.name,
                "state": str(node.machine.state),
                "address": node.address,
                "cores": node.group.cores,
                "memory_gb": node.group.memory_gb,
                "roles": roles(node),
            }
            for node in nodes
        ],
        "services": asdict(live),
    }
