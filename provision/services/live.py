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

MARK = "--8<--"
# FSNamesystemState is what holds now; its namesake FSNamesystem is a metric that lags by up to ten seconds.
SCRIPT = f"""
host=$(hostname)
curl -sf -m 2 "http://$host:9870/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState" || true
echo; echo '{MARK}'
curl -sf -m 2 "http://$host:8080/json/" || true
echo; echo '{MARK}'
/opt/muster/bin/muster-job list --json 2>/dev/null || true
"""
ACTIVE = ("queued", "running")


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
        return parse(run_on(state.ssh_config, master, SCRIPT, timeout_s=10))
    except MusterError as error:
        return Live(why=error.what)


def parse(text: str) -> Live:
    """Turn the output of SCRIPT into a Live."""
    namenode, master, jobs = (_json(part) for part in [*text.split(MARK), "", ""][:3])
    beans: dict[str, Any] = {}
    for bean in (namenode or {}).get("beans", []):
        beans |= bean
    workers = [worker for worker in (master or {}).get("workers", []) if worker.get("state") == "ALIVE"]
    applications = [f"{app.get('name')} ({app.get('id')})" for app in (master or {}).get("activeapps", [])]
    active = [f"{run.get('run') or run.get('id')}" for run in jobs or [] if run.get("state") in ACTIVE]
    return Live(
        reached=True,
        datanodes=beans.get("NumLiveDataNodes"),
        capacity=beans.get("CapacityTotal", 0),
        used=beans.get("CapacityUsed", 0),
        workers=len(workers) if master else None,
        cores=sum(worker.get("cores", 0) for worker in workers),
        cores_used=sum(worker.get("coresused", 0) for worker in workers),
        applications=tuple(applications),
        jobs=tuple(active),
    )


def _json(text: str) -> Any:  # noqa: ANN401
    """Return the JSON in `text`, None when there is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


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
