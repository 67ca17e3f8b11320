"""What an application has of the cluster: executors, their cores, memory. Spark's settings say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from muster_node.footprint import overhead_mb

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


MIB = 2**20
UNITS = {"k": 2**10, "m": MIB, "g": 2**30, "t": 2**40}
TASKS_PER_CORE = 2
"""The cluster's spark.default.parallelism has so many for each core of an executor."""


@dataclass(frozen=True)
class Share:
    """Executors, the cores of each, and the heaps of an executor and of the driver in MiB."""

    executors: int
    cores: int
    executor_mb: int
    driver_mb: int

    @property
    def master_mb(self) -> int:
        """What one process may have on the master once the executor there has ended."""
        return (
            self.driver_mb
            + overhead_mb(self.driver_mb, 1)
            + self.executor_mb
            + overhead_mb(self.executor_mb, self.cores)
        )


def share_of(spark: SparkSession) -> Share:
    """Return what the session's application has."""
    context = spark.sparkContext
    known = dict(context.getConf().getAll())
    return parse(known | {"spark.default.parallelism": str(context.defaultParallelism)})


def parse(settings: Mapping[str, str]) -> Share:
    """Return what settings give: a cluster's default parallelism is twice the cores of all its executors."""
    cores = int(settings.get("spark.executor.cores", "1"))
    return Share(
        executors=max(1, int(settings.get("spark.default.parallelism", "1")) // (TASKS_PER_CORE * cores)),
        cores=cores,
        executor_mb=_mb(settings.get("spark.executor.memory", "1g")),
        driver_mb=_mb(settings.get("spark.driver.memory", "1g")),
    )


def size(text: str) -> int:
    """Return the bytes that Spark's settings write as `812m` or `4g`."""
    return int(text[:-1]) * UNITS[text[-1].lower()]


def _mb(text: str) -> int:
    return size(text) // MIB
