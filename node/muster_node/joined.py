"""`muster-joined PLAN`: wait until this node's DataNode and Worker are registered, without starting a JVM.

Asks the NameNode's and the Spark Master's pages until the node is listed alive and safe mode is off; then
makes the folders in HDFS that are asked for, with owner and mode. When the deadline passes, or a unit has
failed for good, the message ends with the unit's last log lines.

Where the NameNode is it waits, too, until a machine that is gone has not been heard for so long that it is
given no blocks any more, and nobody is sent to it to read; and files get more copies when machines have come.

The plan (JSON): `units` of this node that take part, its `name` and private `address`, `namenode_url`,
`master_url`, `folders` (path, owner, group, mode), `copies` that there can be of a file, `deadline` in
seconds. Prints {changed, made, seconds}, or {error}.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from muster_node import daemons
from muster_node.hdfs import copies, decommission
from muster_node.hdfs.webhdfs import SUPERUSER, Hdfs, HdfsError

# What a node's own daemons answer on: a list on the master may be older than a restart.
OWN_PAGES = {"hdfs-datanode": ":9864/jmx?qry=java.lang:type=Runtime", "spark-worker": ":8081/json/"}
LOOK_EVERY_S = 0.2
STALE_S = 10.0  # as `dfs.namenode.stale.datanode.interval` of role hdfs
INCLUDE = Path("/etc/hadoop/dfs.include")  # written when a machine has come or gone
LOG_LINES = 12


class NotJoined(Exception):
    """The node has not joined; the text says why, with the end of a log."""


@dataclass(frozen=True)
class Plan:
    """What is waited for and made; see the module."""

    units: Sequence[str]
    name: str
    address: str
    namenode_url: str
    master_url: str
    folders: Sequence[dict[str, str]] = ()
    copies: int = 1
    deadline: float = 120.0


def datanode_missing(known: daemons.DataNodes, address: str) -> str:
    """'' when the DataNode at `address` has joined and safe mode is off, else what is missing."""
    if address not in known.live:
        return "its DataNode is not registered with the NameNode"
    return "the NameNode is in safe mode" if known.safe_mode else ""


def worker_missing(known: daemons.SparkState, name: str, address: str) -> str:
    """'' when the Master lists a living Worker on this node, else what is missing."""
    there = any(worker.host in (name, address) for worker in known.workers)
    return "" if there else "its Worker is not registered with the Spark Master"


def missing(plan: Plan) -> tuple[str, str]:
    """Return what this node still lacks and the unit to look at; ('', '') when all have joined."""
    unit = ""
    try:
        for unit, page in OWN_PAGES.items():
            if unit in plan.units:
                daemons.ask(f"http://{plan.address}{page}")
    except (OSError, ValueError) as error:
        return f"its own page does not answer ({error})", unit
    try:
        if "hdfs-datanode" in plan.units:
            what = datanode_missing(daemons.datanodes(plan.namenode_url), plan.address)
            if what:
                return what, "hdfs-datanode"
    except (OSError, ValueError) as error:
        unit = "hdfs-namenode" if "hdfs-namenode" in plan.units else "hdfs-datanode"
        return f"the NameNode's page does not answer ({error})", unit
    try:
        if "spark-worker" in plan.units:
            what = worker_missing(daemons.spark(plan.master_url), plan.name, plan.address)
            if what:
                return what, "spark-worker"
    except (OSError, ValueError) as error:
        unit = "spark-master" if "spark-master" in plan.units else "spark-worker"
        return f"the Spark Master's page does not answer ({error})", unit
    return "", ""


def wait(plan: Plan) -> float:
    """Wait until the node has joined; return the seconds it took. Raises NotJoined."""
    began = time.monotonic()
    while True:
        what, unit = missing(plan)
        waited = time.monotonic() - began
        if not what:
            return waited
        failed = failed_unit(plan.units)
        if failed or waited > plan.deadline:
            reason = f"{failed} has failed" if failed else f"{what} after {waited:.0f} s"
            lines = last_lines(failed or unit)
            raise NotJoined(f"{plan.name}: {reason}. Last lines of {failed or unit}:\n{lines}")
        time.sleep(LOOK_EVERY_S)


def wait_for_the_gone(plan: Plan) -> None:
    """Wait until the NameNode leaves out machines that are gone: it has not heard them since it was told so.

    They count as living and are not listed. Those that were decommissioned it leaves out already.
    """
    if "hdfs-namenode" not in plan.units:
        return
    end = time.monotonic() + min(STALE_S, INCLUDE.stat().st_mtime + STALE_S - time.time())
    while time.monotonic() < end:
        listed = daemons.datanodes(plan.namenode_url)
        unlisted = daemons.hdfs(plan.namenode_url).datanodes - listed.number
        if unlisted <= len(decommission.done() - listed.live):
            return
        time.sleep(LOOK_EVERY_S)


def failed_unit(units: Sequence[str]) -> str:
    """The first unit that systemd has given up, '' when there is none."""
    run = subprocess.run(
        ["/usr/bin/systemctl", "is-failed", *units], capture_output=True, text=True, check=False
    )
    states = run.stdout.split()
    return next((unit for unit, state in zip(units, states, strict=False) if state == "failed"), "")


def last_lines(unit: str) -> str:
    """The last log lines of a unit."""
    command = ["/usr/bin/journalctl", "--no-pager", "-o", "cat", "-n", "300", "-u", unit]
    return telling(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def telling(log: str) -> str:
    """The last lines that may say why: no stack frames, nothing twice."""
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith(("\tat ", "\t... "))]
    seen = dict.fromkeys(reversed(lines))
    return "\n".join(reversed(list(seen)[:LOG_LINES]))


def make_folders(hdfs: Hdfs, folders: Sequence[dict[str, str]]) -> list[str]:
    """Make what is missing or somebody else's; return the paths that were touched. Raises HdfsError."""
    touched = []
    for folder in folders:
        path, mode = folder["path"], folder["mode"].lstrip("0")
        there = hdfs.status(path)
        if there and (there.owner, there.group, there.mode) == (folder["owner"], folder["group"], mode):
            continue
        hdfs.make_folder(path, mode)
        hdfs.give(path, owner=folder["owner"], group=folder["group"], mode=mode)
        touched.append(path)
    return touched


def main() -> int:
    """Wait and make; the exit status is 1 when the node has not joined."""
    plan = Plan(**json.loads(sys.argv[1]))
    try:
        seconds = wait(plan)
        wait_for_the_gone(plan)
        hdfs = Hdfs(plan.namenode_url, user=SUPERUSER)
        made = make_folders(hdfs, plan.folders)
        followed = copies.follow(hdfs, plan.copies) if "hdfs-namenode" in plan.units else 0
    except NotJoined as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    except (OSError, ValueError) as error:
        what = f"the NameNode's page does not answer any more, or {copies.RECORD} cannot be written"
        text = f"{plan.name}: {what} ({error})"
        sys.stdout.write(json.dumps({"error": text}) + "\n")
        return 1
    except HdfsError as error:
        text = f"{plan.name}: folders and copies could not be made in HDFS: {error}"
        sys.stdout.write(json.dumps({"error": text}) + "\n")
        return 1
    sys.stdout.write(
        json.dumps({"changed": bool(made or followed), "made": made, "seconds": round(seconds, 2)}) + "\n"
    )
    return 0
