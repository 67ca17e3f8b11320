"""The engine `spark`: Spark ML grows every tree on all nodes at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import classes
import lines
import numpy as np
import prepared
import samples
import scores
from numpy.typing import NDArray
from parameters import Parameters
from samples import Sample
from share import share_of

from muster_node.sets import TRAIN, Manifest

if TYPE_CHECKING:
    from pyspark.ml.classification import RandomForestClassificationModel
    from pyspark.sql import SparkSession

LARGEST_PART, SMALLEST_PART = 64 * 2**20, 2**20
"""Bytes of a part of dense vectors: more do not fit, and for fewer a task costs more than it saves."""


def partitions(*, rows: int, columns: int, cores: int) -> int:
    """Return in how many parts the rows are: where there is enough to do all cores have equally many."""
    size = rows * columns * 8
    if size < cores * SMALLEST_PART:
        return max(1, math.ceil(size / SMALLEST_PART))
    return cores * math.ceil(size / (cores * LARGEST_PART))


def grow(
    spark: SparkSession, asked: Parameters, about: Manifest, weights: Sequence[float] | None
) -> RandomForestClassificationModel:
    """Return the forest of the training set. `weights`: what a row of each class weighs, None = 1."""
    from pyspark.ml.classification import RandomForestClassifier
    from pyspark.sql import functions as sql

    has = share_of(spark)
    cores = has.executors * has.cores
    parts = partitions(rows=about.rows, columns=about.columns - 1, cores=cores)
    rows = prepared.lines(spark, asked.folder(TRAIN)).repartition(parts)
    data = prepared.vectors(rows, normalised=asked.normalised(about))
    if weights is not None:
        data = data.withColumn(
            "weight", sql.element_at(sql.array(*map(sql.lit, weights)), sql.expr("int(label) + 1"))
        )
    fitter = RandomForestClassifier(
        numTrees=asked.trees, maxDepth=asked.max_depth, seed=asked.seed,
        **({"weightCol": "weight"} if weights is not None else {}),
    )  # fmt: skip
    return fitter.fit(data.cache())


def judge(
    spark: SparkSession,
    model: RandomForestClassificationModel,
    folder: str,
    about: Manifest,
    *,
    normalised: int,
) -> tuple[NDArray[np.int64], list[Sample]]:
    """Return the confusion matrix and the worst mistakes of a forest on the set in a folder.

    `about`: the set that it was trained on; `normalised`: channels of pictures that are normalised, 0 = none.
    """
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as sql

    rows = prepared.vectors(prepared.lines(spark, folder), "value", normalised=normalised)
    found = model.transform(rows).cache()
    pairs = found.groupBy("label", "prediction").count().collect()
    counts = ((int(pair["label"]), int(pair["prediction"]), int(pair["count"])) for pair in pairs)
    shares = vector_to_array("probability")
    missed = found.where("label != prediction").select("label", "prediction", shares.alias("shares"), "value")
    most = samples.GRID[0] * samples.GRID[1]
    known = missed.withColumn("of_true", sql.expr("coalesce(get(shares, int(label)), 0D)"))
    worst = known.orderBy("of_true", "label").limit(most).collect()
    return scores.confusion(counts, classes.count(about)), [
        Sample(
            int(row["label"]), int(row["prediction"]), row["shares"][int(row["prediction"])],
            row["of_true"], lines.parse(row["value"], about.columns - 1)[1],
        )
        for row in worst
    ]  # fmt: skip
