"""The engine `spark`: Spark ML grows every tree on all nodes at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lines
import numpy as np
import prepared
import samples
import scores
from forests import BOOTSTRAP
from numpy.typing import NDArray
from parameters import Parameters
from samples import Sample
from share import MIB, Share, share_of
from training_set import Training

from muster_node.footprint import RESERVED_MB

if TYPE_CHECKING:
    from pyspark.ml.classification import RandomForestClassificationModel
    from pyspark.sql import SparkSession

LARGEST_PART, SMALLEST_PART = 64 * 2**20, 2**20
"""Bytes of a part of dense vectors: more do not fit, and for fewer a task costs more than it saves."""
BINS, HISTOGRAMS_MB = 32, 256
"""Spark ML's own maxBins and maxMemoryInMB."""
SPLIT_BYTES = 28
"""Of a threshold: an object with an index and a double, and the reference to it."""
DRIVER_MB = 100
"""Heap of the driver of an application without data: 74 were measured."""
NODE_BYTES = 300
"""Of a tree's node in the driver while it grows, without the statistics of its classes: three doubles."""


def partitions(*, rows: int, columns: int, cores: int) -> int:
    """Return in how many parts the rows are: where there is enough to do all cores have equally many."""
    size = rows * columns * 8
    if size < cores * SMALLEST_PART:
        return max(1, math.ceil(size / SMALLEST_PART))
    return cores * math.ceil(size / (cores * LARGEST_PART))


@dataclass(frozen=True)
class Need:
    """What growing takes of the heaps of executors and driver. Rows need not fit: they may lie on disks."""

    rows: int
    columns: int
    classes: int
    trees: int
    depth: int
    has: Share

    @property
    def parts(self) -> int:
        """In how many parts the rows are."""
        return partitions(rows=self.rows, columns=self.columns, cores=self.has.executors * self.has.cores)

    @property
    def _splits(self) -> int:
        """Bytes of the thresholds that each column may be split at, which driver and executors have."""
        return self.columns * BINS * SPLIT_BYTES

    @property
    def _histogram(self) -> int:
        """Bytes of the histograms of a tree's node: doubles, by bin and class, for a share of the columns."""
        return math.ceil(math.sqrt(self.columns)) * BINS * self.classes * 8

    @property
    def _room(self) -> int:
        """Bytes that each task of an executor has for histograms: its own, and those it merges of others."""
        tasks = min(self.has.cores, math.ceil(self.parts / self.has.executors))
        return ((self.has.executor_mb - RESERVED_MB) * MIB - self._splits) // (2 * tasks)

    @property
    def histograms_mb(self) -> int:
        """MiB of histograms that a task fills at once, 256 where they fit; more nodes are done in turns."""
        return max(1, min(HISTOGRAMS_MB, self._room // MIB))

    def shortage(self) -> str:
        """Return why this cannot be done, '' when it can."""
        nodes = self.trees * 2 * min(BOOTSTRAP * self.rows, 2.0**self.depth)
        driver = DRIVER_MB + (2 * self._splits + nodes * (NODE_BYTES + 24 * self.classes)) / MIB
        if driver > self.has.driver_mb:
            return (
                f"a forest of {self.trees:,} trees may take {driver:,.0f} MiB of the driver's heap, which "
                f"has {self.has.driver_mb:,}: take fewer trees, a smaller sample, max_depth or size, "
                "engine=sklearn, or a master with more memory"
            )
        if self._histogram <= self._room:
            return ""
        return (
            f"growing with Spark ML takes {self._histogram / MIB:,.0f} MiB for each task of an executor, and "
            f"there are {max(0, self._room) / MIB:,.0f} beside the thresholds of {self.columns:,} columns: "
            "take a smaller size, engine=sklearn, or machines with more memory"
        )


def require(spark: SparkSession, asked: Parameters, training: Training) -> Need:
    """Return what growing takes. Ends the job with a line when it does not fit into memory."""
    need = Need(
        rows=training.rows, columns=training.columns, classes=training.classes,
        trees=asked.trees, depth=asked.max_depth, has=share_of(spark),
    )  # fmt: skip
    if shortage := need.shortage():
        raise SystemExit(shortage)
    return need


def grow(spark: SparkSession, asked: Parameters, training: Training) -> RandomForestClassificationModel:
    """Return the forest of a training set; ends the job as `require` does."""
    from pyspark.ml.classification import RandomForestClassifier
    from pyspark.sql import functions as sql

    need = require(spark, asked, training)
    data = prepared.vectors(training.frame().repartition(need.parts), normalised=training.normalised)
    if training.weights is not None:
        weights = sql.array(*map(sql.lit, training.weights))
        data = data.withColumn("weight", sql.element_at(weights, sql.expr("int(label) + 1")))
    fitter = RandomForestClassifier(
        numTrees=asked.trees, maxDepth=asked.max_depth, seed=asked.seed, maxMemoryInMB=need.histograms_mb,
        **({"weightCol": "weight"} if training.weights is not None else {}),
    )  # fmt: skip
    return fitter.fit(data.cache())


def judge(
    model: RandomForestClassificationModel, folder: str, training: Training
) -> tuple[NDArray[np.int64], list[Sample]]:
    """Return the confusion matrix and the worst mistakes of a forest on the set in a folder."""
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as sql

    rows = prepared.lines(training.spark, folder)
    found = model.transform(prepared.vectors(rows, "value", normalised=training.normalised)).cache()
    pairs = found.groupBy("label", "prediction").count().collect()
    counts = ((int(pair["label"]), int(pair["prediction"]), int(pair["count"])) for pair in pairs)
    shares = vector_to_array("probability")
    missed = found.where("label != prediction").select("label", "prediction", shares.alias("shares"), "value")
    most = samples.GRID[0] * samples.GRID[1]
    known = missed.withColumn("of_true", sql.expr("coalesce(get(shares, int(label)), 0D)"))
    worst = known.orderBy("of_true", "label").limit(most).collect()
    return scores.confusion(counts, training.classes), [
        Sample(
            int(row["label"]), int(row["prediction"]), row["shares"][int(row["prediction"])],
            row["of_true"], lines.parse(row["value"], training.columns)[1],
        )
        for row in worst
    ]  # fmt: skip
