"""How a node's memory and cores are shared by system, daemons, driver and executors. Pure arithmetic.

Sources of the numbers:
  - Overhead of executor and driver: see muster_node.footprint, which jobs reckon with too.
  - Smallest heap: Spark refuses less than 1.5 x its 300 MiB reserve (UnifiedMemoryManager); 512 leaves some
    to cache in.
  - Largest heap: up to 31 GiB the JVM uses 32-bit references; a heap of 40 GiB holds hardly more than one
    of 31.
  - NameNode: some 150 bytes per file and per block, so 128 MiB carry about 500,000 objects.
  - A JVM beyond its heap (metaspace, code cache, threads, buffers, mapped archive): measured on idle
    daemons of this toolkit with class-data archives, SerialGC and C1: anonymous memory is 15 to 50 MiB over
    the heap, pages of the archive that are not shared add up to 60.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from muster_node.footprint import (
    OVERHEAD_MB,
    OVERHEAD_SHARE,
    PYTHON_WORKER_MB,
    WORKERS_IN_OVERHEAD,
    overhead_mb,
)
from provision.core.features import FEATURES

MIB_PER_GIB = 1024
SYSTEM_MB = 160  # systemd, journald, sshd, one login, Ansible's module process
SYSTEM_SHARE = 0.03  # page tables, network buffers, the page cache that must not vanish
JVM_BEYOND_HEAP_MB = 96
PREPARING_MB = 128  # a worker that preprocesses, without what it holds of pictures: bench/preprocess.py
JVM_SHARE = 1 / 3  # of an executor, where the JVM only hands data on
SMALLEST_HEAP_MB = 512
LARGEST_HEAP_MB = 31 * MIB_PER_GIB
# daemon: (smallest heap in MiB, share of the node's memory, largest heap in MiB)
DAEMON_HEAPS = {
    "namenode": (128, 1 / 32, 8192),
    "datanode": (96, 1 / 32, 1024),
    "spark_master": (96, 1 / 32, 1024),
    "spark_worker": (80, 1 / 32, 512),
    "history_server": (96, 1 / 32, 1024),
}
# Services of features: (MiB on the machine, MiB for each of its cores).
SERVICES = {
    # Measured: JupyterLab 73, controller of engines 68, a kernel with PyTorch and pandas 353, its JVM 337.
    "notebook": (832, 0),
    "engines": (0, 64),  # one a core, with nothing loaded
    "tracking": (288, 0),  # measured: 265 when nobody asks
    "launcher": (480, 0),  # the form with PyTorch and a model, and 192 for the picture that is decoded
}
GROUP_DAEMONS = {
    "master": frozenset(DAEMON_HEAPS),
    "worker": frozenset({"datanode", "spark_worker"}),
}
ENOUGH = 0.9  # of the cores (the memory) that the best choice uses
DRIVER_SHARE = 1 / 6
LARGEST_DRIVER_MB = 16 * MIB_PER_GIB
SMALL_CORES, SMALL_MEMORY_MB = 4, 8 * MIB_PER_GIB


@dataclass(frozen=True)
class NodeSizing:
    """One node. All `_mb` are MiB; a daemon that does not run there has 0.

    `executors_mb` is left for executors and their overhead, `worker_memory_mb` what the Spark Worker offers
    to executors (heap only, as Spark counts it), `driver_mb` what is kept free for a driver with its Python
    process, `runs_mb` what runs have that have the machine for themselves. `small`: short start-up matters
    more than peak speed of daemons.
    """

    namenode_xmx_mb: int
    datanode_xmx_mb: int
    master_xmx_mb: int
    worker_xmx_mb: int
    history_xmx_mb: int
    executors_mb: int
    worker_memory_mb: int
    worker_cores: int
    driver_mb: int
    system_mb: int
    runs_mb: int
    small: bool


@dataclass(frozen=True)
class ApplicationSizing:
    """What one application takes when it may have the whole cluster. All `_mb` are MiB.

    `task_memory_mb`: what a task of preprocessing may hold of pictures, those fetched ahead included. The JVM
    only hands data on then, so the rest of the executor is shared by its cores, less what each worker takes.
    """

    executors: int
    executor_cores: int
    executor_memory_mb: int
    executor_overhead_mb: int
    task_memory_mb: int
    driver_memory_mb: int
    shuffle_partitions: int


def heap_within(total_mb: int, cores: int) -> int:
    """Largest heap whose heap + overhead fits into `total_mb`, rounded down to 32 MiB (0 when none does)."""
    further = max(0, cores - WORKERS_IN_OVERHEAD) * PYTHON_WORKER_MB
    usable = total_mb - further
    heap = min(usable - OVERHEAD_MB, int(usable / (1 + OVERHEAD_SHARE)))
    return max(0, min(heap, LARGEST_HEAP_MB) // 32 * 32)


def node_sizing(cores: int, memory_gb: float, roles: Collection[str]) -> NodeSizing:
    """Share one node. `roles`: which of DAEMON_HEAPS, SERVICES and FEATURES it has.

    A node with `spark_master` also keeps room for a driver. Raises ValueError for an unknown role.
    """
    if unknown := set(roles) - set(DAEMON_HEAPS) - set(SERVICES) - set(FEATURES):
        raise ValueError(f"unknown role {min(unknown)}; known: {', '.join((*DAEMON_HEAPS, *SERVICES))}")
    memory = int(memory_gb * MIB_PER_GIB)
    system = SYSTEM_MB + round(SYSTEM_SHARE * memory)
    heaps = {
        name: min(max(smallest, int(memory * share)), largest) if name in roles else 0
        for name, (smallest, share, largest) in DAEMON_HEAPS.items()
    }
    daemons = sum(heap + JVM_BEYOND_HEAP_MB for heap in heaps.values() if heap)
    daemons += sum(whole + cores * each for name, (whole, each) in SERVICES.items() if name in roles)
    driver_heap = _driver_heap(memory)
    driver = driver_heap + overhead_mb(driver_heap, 1) if "spark_master" in roles else 0
    free = memory - system - daemons - driver if "spark_worker" in roles else 0
    return NodeSizing(
        namenode_xmx_mb=heaps["namenode"],
        datanode_xmx_mb=heaps["datanode"],
        master_xmx_mb=heaps["spark_master"],
        worker_xmx_mb=heaps["spark_worker"],
        history_xmx_mb=heaps["history_server"],
        executors_mb=max(0, free),
        worker_memory_mb=_offer(free),
        worker_cores=cores if "spark_worker" in roles else 0,
        driver_mb=driver,
        system_mb=system,
        runs_mb=max(0, memory - system - daemons),
        small=cores <= SMALL_CORES or memory <= SMALL_MEMORY_MB,
    )


def cluster_sizing(nodes: Iterable[Mapping[str, Any]]) -> ApplicationSizing:
    """Size one application for the cluster. Each node has `name group cores memory_gb`, perhaps `services`.

    Every executor is alike, so the choice is how many cores and how much memory one has. Of the choices
    that use (nearly) all cores, and of those the ones that use (nearly) all memory, the largest executor
    wins: few large executors beat many small ones. A node that is much smaller than the others may thus be
    left without an executor.
    Raises ValueError, naming the node, when a node has too little memory for any executor.
    """
    machines = [node for node in nodes if node["group"] in GROUP_DAEMONS]
    if not machines:
        raise ValueError("there is no master and no worker to size for")
    room = []
    for node in machines:
        cores, memory = int(node["cores"]), float(node["memory_gb"])
        free = _room_mb(cores, memory, roles_of(node))
        if too_few := shortage(node["group"], cores, memory, node.get("services", ())):
            raise ValueError(f"{node['name']}: {too_few}")
        room.append((cores, free))
    choices = list(_choices(room))
    for place in (1, 2):  # first by the cores of all executors, then by their heaps
        most = max(one[0] * one[place] for one in choices)
        choices = [one for one in choices if one[0] * one[place] >= ENOUGH * most]
    executors, executor_cores, heap = max(choices, key=lambda one: (one[1], one[0], one[2]))
    master = next((node for node in machines if node["group"] == "master"), machines[0])
    overhead = overhead_mb(heap, executor_cores)
    return ApplicationSizing(
        executors=executors,
        executor_cores=executor_cores,
        executor_memory_mb=heap,
        executor_overhead_mb=overhead,
        task_memory_mb=int((heap + overhead) * (1 - JVM_SHARE)) // executor_cores - PREPARING_MB,
        driver_memory_mb=_driver_heap(int(float(master["memory_gb"]) * MIB_PER_GIB)),
        shuffle_partitions=2 * executors * executor_cores,
    )


def room_for(nodes: Iterable[Mapping[str, Any]], cores: int, heap_mb: int) -> int:
    """Return how many executors of so many cores and MiB of heap Spark's Workers take together.

    A Worker counts heaps and no overhead: what it takes may still be more than its machine has. Each node has
    `group cores memory_gb`, perhaps `services`.
    """
    machines = [node for node in nodes if node["group"] in GROUP_DAEMONS]
    offers = [node_sizing(int(node["cores"]), float(node["memory_gb"]), roles_of(node)) for node in machines]
    return sum(min(one.worker_cores // cores, one.worker_memory_mb // heap_mb) for one in offers)


def shortage(group: str, cores: int, memory_gb: float, services: Collection[str] = ()) -> str:
    """Return that a machine of a config group has too little memory, and what it needs; '' = it has enough.

    Machines of groups that have no daemons need none for them. `services` of features count, too.
    """
    if group not in GROUP_DAEMONS:
        return ""
    roles = roles_of({"group": group, "services": services})
    if _holds_an_executor(roles, cores, memory_gb):
        return ""
    steps = (quarter / 4 for quarter in itertools.count(int(memory_gb * 4) + 1))
    enough = next(more for more in steps if _holds_an_executor(roles, cores, more))
    runs = ", ".join(("its daemons", *sorted(roles & set(SERVICES))))
    return (
        f"{memory_gb:g} GB of memory are too few for {runs} and one executor; "
        f"give its group at least {enough:g}"
    )


def roles_of(node: Mapping[str, Any]) -> frozenset[str]:
    """Return what takes memory on a node, by its `group` and perhaps `services`; see node_sizing."""
    return GROUP_DAEMONS[node["group"]] | frozenset(SERVICES).intersection(node.get("services", ()))


def _holds_an_executor(roles: Collection[str], cores: int, memory_gb: float) -> bool:
    return heap_within(_room_mb(cores, memory_gb, roles), 1) >= SMALLEST_HEAP_MB


def _room_mb(cores: int, memory_gb: float, roles: Collection[str]) -> int:
    return node_sizing(cores, memory_gb, roles).executors_mb


def _choices(room: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Every sensible (executors, cores each, heap each); a node has `room` = (cores, MiB for executors)."""
    for cores in range(1, max(one for one, _ in room) + 1):
        shares = {free // fit for have, free in room for fit in range(1, have // cores + 1)}
        for heap in {heap_within(share, cores) for share in shares}:
            if heap >= SMALLEST_HEAP_MB:
                each = heap + overhead_mb(heap, cores)
                yield sum(min(have // cores, free // each) for have, free in room), cores, heap


def _driver_heap(memory_mb: int) -> int:
    return min(max(SMALLEST_HEAP_MB, int(memory_mb * DRIVER_SHARE) // 32 * 32), LARGEST_DRIVER_MB)


def _offer(free_mb: int) -> int:
    """What a Worker offers: the heaps of as many executors as one likes, with room for their overhead."""
    return max(0, min(free_mb - OVERHEAD_MB, int(free_mb / (1 + OVERHEAD_SHARE))))
