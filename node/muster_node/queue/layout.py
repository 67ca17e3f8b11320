"""The executors that one run asks for, in place of those that the cluster is configured with."""

from __future__ import annotations

from collections.abc import Mapping

EXECUTORS, CORES, MEMORY_MB = "executors", "executor_cores", "executor_memory_mb"
MOST = 1_000_000
SMALLEST_HEAP_MB = 512


def require(spark: object) -> None:
    """Raise ValueError, in one line, unless all three are given as positive whole numbers, or none is."""
    if not isinstance(spark, Mapping):
        raise ValueError("a layout of Spark is a mapping")  # noqa: TRY004  it came as JSON
    known = (EXECUTORS, CORES, MEMORY_MB)
    if spark and set(spark) != set(known):
        given = ", ".join(sorted(map(str, spark)))
        raise ValueError(f"a layout of Spark has {', '.join(known)}, not {given}")
    for name, value in spark.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST:
            raise ValueError(f"{name} of Spark is a whole number from 1 to {MOST}, not {value!r}")


def options(spark: Mapping[str, int]) -> list[str]:
    """Return the options of spark-submit for a layout; [] = as the cluster is configured."""
    if not spark:
        return []
    return [
        f"--conf spark.executor.cores={spark[CORES]}",
        f"--conf spark.executor.memory={spark[MEMORY_MB]}m",
        f"--conf spark.cores.max={spark[EXECUTORS] * spark[CORES]}",
    ]


def local_options(cores: int, memory_mb: int) -> list[str]:
    """Return the options of spark-submit for a run on one machine, whose Spark is itself alone.

    The JVM has half of the memory: the other half is for Python.
    """
    heap = max(SMALLEST_HEAP_MB, memory_mb // 2)
    return [
        f"--master local[{cores}]",
        f"--driver-memory {heap}m",
        f"--conf spark.executor.cores={cores}",
        f"--conf spark.executor.memory={heap}m",
        f"--conf spark.default.parallelism={2 * cores}",
    ]
