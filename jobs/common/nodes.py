"""Tasks of Python that have an executor for themselves: all of its cores, and half of its memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from share import MIB, share_of

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

OVERHEAD = 384 * MIB
"""Of an executor at least, beyond its heap: Spark's own default."""

ROWS, VALUES = 256, 16 * MIB
"""Rows that a model is asked of at a time, fewer of large pictures: each value may become two doubles."""


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


def batches(rows: Iterable[tuple[Any, Any]], values: int = VALUES) -> Iterator[list[tuple[Any, Any]]]:
    """Yield rows (key, value) in lists of as many as a model is asked of at a time.

    `values`: of a list's rows together at most, if it is not a single row.
    """
    batch: list[tuple[Any, Any]] = []
    size = 0
    for key, value in rows:
        if batch and (len(batch) == ROWS or size + len(value) > values):
            yield batch
            batch, size = [], 0
        batch.append((key, value))
        size += len(value)
    if batch:
        yield batch
