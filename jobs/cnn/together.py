"""Several nodes learn one network: each batch is shared among them, and their gradients are added up.

A barrier stage of Spark runs one process on each node. The driver has the store in which they find each other
(PyTorch's own, which also brings the lines that the first of them says).
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import nodes
from parameters import Parameters
from share import share_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from torch import Tensor

PATIENCE = timedelta(minutes=5)
"""So long a process waits for the others: the slowest may be opening the set."""
FOREVER = timedelta(days=365)
"""The last line comes whatever happens."""
TRIES = 3
"""So often in all: a node may fail twice."""
PYTHON_ERROR = re.compile(r"[\w.]+: \S")
OF_JAVA = ("org.", "java.", "py4j.", "Caused by", "Driver stacktrace")
END = ""
"""Not a line: there are no more."""


class TooFew(ValueError):
    """There are not as many nodes; the text is one line."""


class BrokenOff(Exception):
    """The processes have failed time and again; the text is one line."""


@dataclass(frozen=True)
class Told:
    """What each process is told. `store`: host and port; `folder`: of the checkpoint, in HDFS."""

    asked: Parameters
    store: tuple[str, int]
    ranks: int
    cores: int
    folder: str


class Together:
    """Processes that are joined by PyTorch's process group; see exchange.py."""

    def __init__(self, rank: int, ranks: int) -> None:
        self.rank, self.ranks = rank, ranks

    def add(self, numbers: Tensor) -> None:
        """Put the sum over all processes into a tensor."""
        import torch.distributed as group

        group.all_reduce(numbers)


def learn(spark: SparkSession, asked: Parameters, folder: str, say: Callable[[str], None]) -> int:
    """Learn on several nodes; the last checkpoint in `folder` has what they have learnt.

    Returns how many they are. Raises TooFew, BrokenOff.
    """
    has = share_of(spark)
    ranks = asked.nodes or has.executors
    if ranks > has.executors:
        raise TooFew(f"nodes={asked.nodes}: the cluster has {has.executors} that run Spark's executors")
    from py4j.protocol import Py4JJavaError
    from torch.distributed import TCPStore

    host = spark.conf.get("spark.driver.host")
    store = TCPStore(host, 0, is_master=True, wait_for_workers=False, use_libuv=False)
    told = Told(asked, (host, store.port), ranks, has.cores, folder)
    # A connection of its own: one that waits answers nobody else.
    listening = TCPStore(host, store.port, is_master=False, use_libuv=False)
    lines = threading.Thread(target=_repeat, args=(listening, say), daemon=True)
    lines.start()
    places = spark.sparkContext.parallelize(range(ranks), ranks).barrier()
    stage = nodes.alone(spark, places.mapPartitions(lambda part: _learn(part, told)))
    try:
        insist(stage.collect, failure=Py4JJavaError, say=say)
    finally:
        store.set(f"line {store.add('lines', 1)}", END)
        lines.join()
    return ranks


def insist(work: Callable[[], object], *, failure: type[Exception], say: Callable[[str], None]) -> None:
    """Do some work, and when it fails try again: it goes on from the last checkpoint. Raises BrokenOff.

    Spark itself does not try a barrier stage again whose results are collected.
    """
    for tries in range(TRIES - 1, -1, -1):
        try:
            work()
        except failure as error:
            if not tries:
                raise BrokenOff(
                    f"{TRIES} times the processes were broken off; at last: {why(error)}"
                ) from error
            say(f"WARNING: the processes were broken off ({why(error)}); going on from the last checkpoint")
        else:
            return


def why(error: Exception) -> str:
    """Return why a stage has failed, in a line: what Python says, where Spark has heard it."""
    told = str(error).splitlines()
    said = [line for line in told if PYTHON_ERROR.match(line) and not line.startswith(OF_JAVA)]
    return said[-1] if said else "a process has ended unexpectedly"


def _repeat(store: Any, say: Callable[[str], None]) -> None:  # noqa: ANN401
    """Say the lines that the first process leaves in the store, until the last one."""
    for number in itertools.count(1):
        store.wait([f"line {number}"], FOREVER)
        line = store.get(f"line {number}").decode()
        if line == END:
            return
        say(line)


def _learn(_: Iterable[int], told: Told) -> Iterator[int]:
    """Learn as one of the processes; gives its number."""
    try:
        yield _process(told)
    except SystemExit as error:  # it would end the worker, and nobody would hear why
        raise RuntimeError(str(error)) from error


def _process(told: Told) -> int:
    # Before PyTorch is loaded: threads that wait leave the cores to Spark.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    import device
    import torch
    import torch.distributed as group
    from checkpoints import Checkpoints
    from fit import Fit
    from opening import Sets
    from plan import plan, sides
    from pyspark import BarrierTaskContext

    from muster_node.sets import TRAIN

    context = BarrierTaskContext.get()
    rank: int = context.partitionId()
    torch.set_num_threads(told.cores)
    where = device.choose(told.asked.device)
    host, port = told.store
    store = group.TCPStore(host, port, is_master=False, timeout=PATIENCE, use_libuv=False)
    # The stage may be tried again: what processes of another attempt have left in the store is not theirs.
    attempt = context.allGather("" if rank else str(store.add("attempts", 1)))[0]
    backend = "nccl" if where.type == "cuda" else "gloo"
    group.init_process_group(
        backend, store=group.PrefixStore(attempt, store), rank=rank, world_size=told.ranks, timeout=PATIENCE
    )

    def say(line: str) -> None:
        if not rank:
            store.set(f"line {store.add('lines', 1)}", line)

    sets = Sets.of(told.asked)
    kept = Checkpoints(sets.hdfs, told.folder)
    wanted = plan(told.asked, sets.about(TRAIN, sides(told.asked)[-1]))
    fit = Fit(told.asked, wanted, sets, Together(rank, told.ranks), where, kept, say)
    fit.run(kept.last())
    group.barrier()  # nobody leaves while another one still adds up
    group.destroy_process_group()
    return rank
