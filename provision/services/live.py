"""What a running cluster says about itself: one call to the master asks NameNode, Master, job queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster_node.queue.records import RUN_ID
from provision.core.errors import MusterError
from provision.core.text import size
from provision.core.untrusted import is_number, parse_json
from provision.planning.nodes import roles
from provision.ssh.files import ssh_config
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
        return parse(run_on(ssh_config(state), master, PROGRAM, timeout_s=10))
    except MusterError as error:
        return Live(why=error.what)


def parse(text: str) -> Live:
    """Turn the output of muster-status into a Live; jobs run as the user that it runs as, and may lie."""
    found = parse_json(text)
    if found is None:
        return Live(why="its programs are not installed yet; run main.yml")
    try:
        hdfs, spark = found["hdfs"], found["spark"]
        workers = spark["workers"] if spark else ()
        return Live(
            reached=True,
            datanodes=_count(hdfs["datanodes"]) if hdfs else None,
            capacity=_count(hdfs["capacity"]) if hdfs else 0,
            used=_count(hdfs["used"]) if hdfs else 0,
            workers=len(workers) if spark else None,
            cores=sum(_count(worker["cores"]) for worker in workers),
            cores_used=sum(_count(worker["cores_used"]) for worker in workers),
            applications=tuple(filter(_is_text, spark["applications"])) if spark else (),
            jobs=tuple(filter(RUN_ID.fullmatch, found["jobs"])),
        )
    except (KeyError, TypeError, ValueError):
        return Live(why="something else than its programs answers; run main.yml")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _count(value: object) -> int:
    """Return a number that a master has said. Raises ValueError when it is none."""
    if not is_number(value):
        raise ValueError(value)
    return int(value)


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
