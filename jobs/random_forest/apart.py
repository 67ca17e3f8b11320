"""The engine `sklearn`: every node grows its own trees on all its cores; together they are one forest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import estimators
import forests
import lines
import nodes
import normal
import numpy as np
import samples
from numpy.typing import NDArray
from samples import Sample
from share import MIB

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession
    from sklearn.ensemble import RandomForestClassifier


@dataclass(frozen=True)
class Plan:
    """What every node is told; see parameters.py.

    `counts`: how many trees each of them grows; `normalised`: channels of pictures that are normalised, 0 =
    none are.
    """

    rows: int
    columns: int
    classes: int
    counts: tuple[int, ...]
    max_depth: int
    share: float
    weights: tuple[float, ...] | None
    seed: int
    cores: int
    normalised: int = 0

    def shortage(self, *, room: int, driver: int) -> str:
        """Return why this cannot be done, '' when it can.

        `room`: bytes that Python may use on each node; `driver`: on the master, which holds the whole forest.
        """
        seen = round(self.share * self.rows)
        needed = forests.memory(
            rows=seen,
            columns=self.columns,
            classes=self.classes,
            trees=max(self.counts),
            depth=self.max_depth,
            cores=self.cores,
        )
        whole = sum(self.counts) * forests.tree_memory(rows=seen, classes=self.classes, depth=self.max_depth)
        if whole > driver:
            return (
                f"a forest of {sum(self.counts):,} trees may take {whole / MIB:,.0f} MiB, and the "
                f"driver's Python has {driver / MIB:,.0f}: take fewer trees, a smaller share or "
                "max_depth, engine=spark, or a master with more memory"
            )
        if needed <= room:
            return ""
        return (
            f"growing with scikit-learn may take {needed / MIB:,.0f} MiB on each node, and an "
            f"executor's Python has {room / MIB:,.0f}: take a smaller share, fewer trees, a smaller "
            "size, engine=spark, or machines with more memory"
        )


def grow(spark: SparkSession, rows: RDD, plan: Plan) -> RandomForestClassifier:
    """Return the forest that all nodes have grown of lines of a set.

    Each node reads them all itself. Ends the job with a line when that does not fit into its memory.
    """
    from pyspark import StorageLevel

    if shortage := plan.shortage(room=nodes.python_memory(spark), driver=nodes.driver_memory(spark)):
        raise SystemExit(shortage)
    whole = rows.coalesce(1)
    everywhere = spark.sparkContext.union([whole] * len(plan.counts))
    grown = nodes.alone(spark, everywhere.mapPartitionsWithIndex(partial(_grow, plan=plan)))
    grown.persist(StorageLevel.DISK_ONLY).count()  # all at once; then they come one after another
    return forests.combine(grown.toLocalIterator())


def judge(
    spark: SparkSession, model: Path, folder: str, plan: Plan
) -> tuple[NDArray[np.int64], list[Sample]]:
    """Return the confusion matrix and the worst mistakes of a saved forest on the set in a folder."""
    columns, classes = plan.columns, plan.classes
    held_out = lines.of_set(spark, folder).mapPartitions(lambda part: lines.parsed(part, columns))
    asked = held_out.map(lambda row: (row, row[1]))
    features = estimators.pictures(plan.normalised)
    found = estimators.probabilities(spark, asked, model, classes=classes, features=features)
    parts = found.mapPartitions(partial(_judge, classes=classes)).collect()
    mistakes = samples.worst(sample for _, some in parts for sample in some)
    return sum((matrix for matrix, _ in parts), np.zeros((classes, classes), np.int64)), mistakes


def _judge(
    found: Iterable[tuple[tuple[str, lines.Pixels], NDArray[np.float64]]], *, classes: int
) -> Iterator[tuple[NDArray[np.int64], list[Sample]]]:
    matrix, worst = np.zeros((classes, classes), np.int64), list[Sample]()
    for (label, pixels), shares in found:
        true = int(label)
        matrix[true, int(np.argmax(shares))] += 1
        if missed := samples.wrong(np.array([true]), pixels[None], shares[None]):
            worst = samples.worst([*worst, *missed])
    yield matrix, worst


def _grow(number: int, found: Iterable[str], *, plan: Plan) -> Iterator[Any]:
    read = (
        (int(label), normal.features(pixels[None], plan.normalised)[0])
        for label, pixels in lines.parsed(found, plan.columns)
    )
    pixels, labels = forests.collect(
        read, rows=plan.rows, columns=plan.columns, classes=plan.classes,
        share=plan.share, seed=plan.seed + number,
    )  # fmt: skip
    yield forests.grow(
        pixels, labels, classes=plan.classes, trees=plan.counts[number], max_depth=plan.max_depth,
        weights=plan.weights, seed=plan.seed + number, cores=plan.cores,
    )  # fmt: skip
