"""Names that machines, groups and users have at every provider."""

from __future__ import annotations

import re

MASTER = "master"
"""The group of the one machine with the NameNode and the Spark Master."""
WORKER = "worker"
"""The group of the other machines that hold HDFS's blocks and run Spark's tasks."""
NODE_GROUPS = (MASTER, WORKER)
"""The groups whose machines are counted as nodes: each has a DataNode and a Spark Worker."""
EXPERIMENT = "experiment"
"""The group of machines that `./muster experiments` makes and deletes; only it decides how many there are."""
STORE_HOST = "object-store"
"""The name of an object store's machine on this computer."""
LOGIN_USER = "muster"
"""The user that every machine has from its first boot on."""
JOB_USER = "hadoop"
"""The user that people log in as and jobs run as."""
OWNER_LABEL = "owner"
"""A machine's label: the mark of the folder of states that knows it."""
DEADLINE_LABEL = "deadline"
"""A machine's label: when it ends, in seconds since the epoch; none = it does not end by itself."""
BILLS_ON = "bills_on"
"""A stopped machine's label, `yes`: it costs as much as if it ran."""


def machine_name(cluster: str, group: str, number: int) -> str:
    """Return the name of a group's machine: `retina-master`, `retina-worker-1` …; numbers begin with 1."""
    stem = f"{cluster}-{group.replace('_', '-')}"
    return stem if group == MASTER else f"{stem}-{number}"


def machine_number(name: str) -> int:
    """Return the number at the end of a machine's name; 0 when it has none."""
    match = re.search(r"-([0-9]+)$", name)
    return int(match[1]) if match else 0


STORE_PORT = 8080
