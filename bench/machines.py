"""Machines of this computer as measurements see them: which there are, network, processor time (as root)."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.providers.local.helper import cgroups

REGISTRY = Path("/var/lib/muster/registry.json")
TICKS = os.sysconf("SC_CLK_TCK")


def registry() -> dict[str, Any]:
    """Return what the computer knows of its machines and stores."""
    try:
        return dict(json.loads(REGISTRY.read_text()))
    except FileNotFoundError:
        return {"nodes": {}, "stores": {}}


def nodes_of(network: str) -> dict[str, dict[str, Any]]:
    """Return the machines of a cluster by name, as the computer's registry has them."""
    return {node["name"]: node for node in registry()["nodes"].values() if node["cluster_id"] == network}


def in_its_network(unit: str) -> list[str]:
    """Return the words before a command that let it run in a machine's network; [] = it is off."""
    init = cgroups.init(unit)
    return ["nsenter", f"--net=/proc/{init}/ns/net"] if init else []


def until_registered(master: Mapping[str, Any], number: int) -> list[str]:
    """Return the command that ends well once so many machines have both daemons registered; [] = it is off.

    `master`: as in `nodes_of`.
    """
    way = in_its_network(master["unit"])
    program = [sys.executable, "-I", str(Path(__file__).with_name("registered.py"))]
    return [*way, *program, master["address"], str(number)] if way else []


def cpu_s(unit: str) -> float:
    """Return the processor time, in seconds, that a machine has taken since its start; 0.0 = it is off."""
    for group in cgroups.groups(unit):
        first, second = group / "cpuacct.usage", group / "cpu.stat"
        if first.exists():
            return int(first.read_text()) / 1e9
        if second.exists() and "usage_usec" in second.read_text():
            words = second.read_text().split()
            return int(words[words.index("usage_usec") + 1]) / 1e6
    return 0.0


def tree_cpu_s(root: int) -> float:
    """Return the processor time, in seconds, of a process and of all that it has started, ended or not."""
    children, ticks = defaultdict[int, list[int]](list), dict[int, int]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        process = int(path.parent.name)
        children[int(fields[1])].append(process)
        ticks[process] = sum(map(int, fields[11:15]))
    total, found = 0, [root]
    while found:
        process = found.pop()
        total += ticks.get(process, 0)
        found += children[process]
    return total / TICKS
