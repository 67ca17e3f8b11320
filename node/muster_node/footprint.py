"""How much memory training takes, and in how many parts: what `logistic_regression` asks before it starts.

Pure arithmetic over sizes. What it counts, and where the numbers come from:

  - A pixel is one byte wherever rows wait (`jobs/logistic_regression`); Spark ML's own vectors are doubles,
    eight bytes. Rows are kept with MEMORY_AND_DISK: what the heap has no room for lies on the disk, so rows
    never have to fit, but a task has to: one block of rows at a time.
  - Heap of an executor: 300 MiB are Spark's own (`RESERVED_SYSTEM_MEMORY_BYTES` of UnifiedMemoryManager), of
    the rest 60 % may hold rows (`spark.memory.fraction`). Each task has a block on its way to Python and its
    result on its way back; the coefficients are there once for all tasks (a broadcast).
  - Beyond the heap: Spark's own default, max(384 MiB, 10 % of the heap) (Spark's configuration page:
    `spark.executor.memoryOverhead`). PySpark's processes live in it: two workers with numpy and their daemon
    fit (about 60 MiB each); each further core adds one more worker.
  - Python of an executor, one process a core, lives beyond the heap beside the JVM's own needs: a block as
    bytes and as two arrays of single precision, the coefficients (4 bytes each), a block's gradient (4), that
    of all blocks (8) and the same on its way back (8).
  - Driver: L-BFGS remembers the last 10 steps, fewer where memory is short (3 are the least): scipy's work
    space is 2 m n + 5 n doubles (m steps, n coefficients; `L-BFGS-B` of lbfgsb.f); point, gradient, bounds,
    what scipy's wrapper keeps of them and scaled copies came to 13 more where it was measured (peak of
    resident memory), to 20 with bounds; with an L1 penalty n is doubled, as each coefficient is a difference
    of two that are not negative. Its JVM and its Python hold the results that `rows.Spread` fetches at once,
    doubles, and its JVM four copies of the coefficients when the model is written. A heap is not taken
    before it is needed, so the driver's heap and Python have to fit together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MIB = 2**20
RESERVED_MB = 300
STORAGE_SHARE = 0.6
OVERHEAD_MB = 384
OVERHEAD_SHARE = 0.10
PYTHON_WORKER_MB = 64
WORKERS_IN_OVERHEAD = 2
JVM_BEYOND_HEAP_MB = 96
DRIVER_PYTHON_MB = 128
"""With scipy and matplotlib."""
DRIVER_HEAP_MB = 400
"""Of an application without data: Spark's reserve and what its scheduler and web page keep."""
BLOCK_BYTES = 4 * MIB
"""Rows are handed on in blocks of at most so much, or of a single row."""
LARGEST_PART = 64 * MIB
"""Bytes of a part: a part is in memory or on the disk as a whole."""
LBFGS_STEPS, LBFGS_STEPS_LEAST = 10, 3
LBFGS_COPIES, LBFGS_COPIES_BOUNDED = 18, 25
"""Of the coefficients as doubles, beyond two a step."""
FEW_RESULTS = 4
"""So many parts' results are fetched at once; more are added up on executors first."""
SCIKIT_PIXEL = 18
"""Bytes of a pixel while scikit-learn fits: a double, a copy of it inside, and what it was read as."""
HERE_BYTES = 32 * MIB
"""Rows of so few bytes are trained on where the driver is: handing out work would cost more than it saves."""


@dataclass(frozen=True)
class Footprint:
    """What a training takes. All `_mb` are MiB.

    `partitions`: parts of the rows (0: they stay in the driver); `per_executor_mb`, `driver_mb`: heap and
    Python together, rows in memory not counted; `data_mb`: the rows; `in_memory`: the share of them that
    executors have room for; `steps` of L-BFGS that are remembered; `missing_mb`: of the executor or the
    driver that lacks most, 0 when it `fits`; `advice`: what would do, in a line, '' when it fits.
    """

    partitions: int
    per_executor_mb: int
    driver_mb: int
    data_mb: int
    in_memory: float
    steps: int
    fits: bool
    missing_mb: int
    advice: str


def overhead_mb(heap_mb: int, cores: int) -> int:
    """Return the memory that an executor or driver has beyond its heap, Python processes included."""
    further = max(0, cores - WORKERS_IN_OVERHEAD) * PYTHON_WORKER_MB
    return max(OVERHEAD_MB, round(OVERHEAD_SHARE * heap_mb)) + further


def block_rows(columns: int) -> int:
    """Return how many rows of so many pixels one block has."""
    return max(1, BLOCK_BYTES // max(1, columns))


def parts(data: int, cores: int) -> int:
    """Return in how many parts so many bytes of rows are: 0, in the driver, or equally many for each core."""
    return 0 if data <= HERE_BYTES else cores * math.ceil(data / (cores * LARGEST_PART))


def of_logistic(
    rows: int,
    columns: int,
    classes: int,
    *,
    nodes: int,
    cores: int,
    executor_memory_mb: int,
    driver_memory_mb: int,
    l1: bool = False,
) -> Footprint:
    """Return what logistic regression takes.

    Args:
        rows: to train on.
        columns: pixels of a row, all channels counted.
        classes: different labels.
        nodes: executors.
        cores: tasks of one executor at the same time.
        executor_memory_mb: heap of an executor.
        driver_memory_mb: heap of the driver.
        l1: with an L1 penalty.
    """
    data, coefficients = rows * columns, classes * (columns + 1)
    shares = parts(data, nodes * cores)
    single, block = _mb(4 * coefficients), _mb(max(BLOCK_BYTES, columns))
    heap = RESERVED_MB + cores * (2 * block + 2 * single) + single if shares else 0
    python = JVM_BEYOND_HEAP_MB + cores * (PYTHON_WORKER_MB + 9 * block + 6 * single) if shares else 0
    results = _mb(8 * coefficients) * (shares if shares <= FEW_RESULTS else math.ceil(math.sqrt(shares)))
    driver_heap = DRIVER_HEAP_MB + results + 8 * single
    base = JVM_BEYOND_HEAP_MB + DRIVER_PYTHON_MB + results + (0 if shares else _mb(5 * BLOCK_BYTES + data))
    driver = driver_memory_mb + overhead_mb(driver_memory_mb, 1)
    copy = (2 if l1 else 1) * 8 * coefficients / MIB
    copies = LBFGS_COPIES_BOUNDED if l1 else LBFGS_COPIES
    room = (driver - driver_heap - base) / copy
    steps = int(min(max((room - copies) / 2, LBFGS_STEPS_LEAST), LBFGS_STEPS))
    driver_python = base + math.ceil((2 * steps + copies) * copy)
    short = {
        "executor": (heap - executor_memory_mb, python - overhead_mb(executor_memory_mb, cores)),
        "driver": (driver_heap + driver_python - driver,),
    }
    missing = {who: sum(max(0, lack) for lack in lacks) for who, lacks in short.items()}
    room = nodes * max(0, executor_memory_mb - RESERVED_MB) * STORAGE_SHARE
    return Footprint(
        partitions=shares,
        per_executor_mb=heap + python,
        driver_mb=driver_heap + driver_python,
        data_mb=_mb(data),
        in_memory=min(1.0, room / max(1, _mb(data))) if shares else 1.0,
        steps=steps,
        fits=not any(missing.values()),
        missing_mb=max(missing.values()),
        advice=_advice(missing, coefficients, l1=l1),
    )


def of_scikit(rows: int, columns: int, classes: int, *, free_mb: int, held: int = 0) -> Footprint:
    """Return what the same takes in one process of scikit-learn, whose rows are doubles after bytes.

    Args:
        rows: to train on.
        columns: pixels of a row.
        classes: different labels.
        free_mb: memory that it may have.
        held: rows that wait as bytes to be scored.
    """
    work = (2 * LBFGS_STEPS + LBFGS_COPIES) * 8 * classes * (columns + 1) + 3 * 8 * BLOCK_BYTES
    needed = DRIVER_PYTHON_MB + DRIVER_HEAP_MB + _mb((SCIKIT_PIXEL * rows + held) * columns + work)
    missing = max(0, needed - free_mb)
    advice = f"one process needs {needed:,} MiB, {missing:,} more than the master has; what would do: "
    return Footprint(
        partitions=0,
        per_executor_mb=0,
        driver_mb=needed,
        data_mb=_mb(rows * columns),
        in_memory=1.0,
        steps=LBFGS_STEPS,
        fits=not missing,
        missing_mb=missing,
        advice=advice + "logistic_regression on all nodes, or a smaller image size" if missing else "",
    )


def _advice(missing: dict[str, int], coefficients: int, *, l1: bool) -> str:
    names = {"executor": "each executor", "driver": "the driver"}
    lacks = [f"{names[who]} lacks {mb:,} MiB" for who, mb in missing.items() if mb]
    if not lacks:
        return ""
    ways = []
    if missing["executor"]:
        ways.append("fewer cores or more memory for each worker")
    if missing["driver"]:
        ways.append("more memory for the master")
    if l1:
        ways.append("no L1 penalty")
    ways.append("a smaller image size")
    return f"{' and '.join(lacks)} for {coefficients:,} coefficients; what would do: {', or '.join(ways)}"


def _mb(size: float) -> int:
    return math.ceil(size / MIB)
