"""Tasks of Python that have an executor for themselves: all of its cores, and half of its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from share import MIB, share_of

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

OVERHEAD = 384 * MIB
"""Of an executor at least, beyond its heap: Spark's own default."""


def python_memory(spark: SparkSession) -> int:
    """Return the bytes that a task's Python may use: half of an executor's, whose JVM only hands data on."""
    return _half(share_of(spark).executor_mb)


def driver_memory(spark: SparkSession) -> int:
    """Return the bytes that the driver's Python may use, by the same rule."""
    return _half(share_of(spark).driver_mb)


def _half(heap_mb: int) -> int:
    return (heap_mb * MIB + OVERHEAD) // 2


def alone(spark: SparkSession, rdd: RDD) -> RDD:
    """Return the RDD whose next stage gives each of its tasks a whole executor."""
    from pyspark.resource import ResourceProfileBuilder, TaskResourceRequests

    every = TaskResourceRequests().cpus(share_of(spark).cores)
    return rdd.withResources(ResourceProfileBuilder().require(every).build)
