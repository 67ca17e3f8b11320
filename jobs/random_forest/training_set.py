"""What forests are grown of: the rows of a training set that are asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import classes
import lines
import prepared
from parameters import Parameters
from pixels import draw_of

from muster_node.sets import TRAIN, Manifest

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Training:
    """Rows to train on.

    `about`: the set that they are of; `rows`: how many; `weights`: of a row of each class, None = 1;
    `normalised`: channels of pictures that are normalised first, 0 = pixels are taken as they are.
    """

    spark: SparkSession
    folder: str
    about: Manifest
    rows: int
    weights: tuple[float, ...] | None
    normalised: int
    drawn: RDD | None = None

    @property
    def columns(self) -> int:
        """Pixels of a row."""
        return self.about.columns - 1

    @property
    def classes(self) -> int:
        """Numbers of classes, also those that no class has."""
        return classes.count(self.about)

    def lines(self) -> RDD:
        """Return them as lines, see `lines`."""
        return lines.of_set(self.spark, self.folder) if self.drawn is None else self.drawn

    def frame(self) -> DataFrame:
        """Return them as a frame of one column, `value`; lines of a whole set never leave the JVM."""
        if self.drawn is None:
            return prepared.lines(self.spark, self.folder)
        return self.spark.createDataFrame(self.drawn.map(lambda line: (line,)), "value string")


def training_of(spark: SparkSession, asked: Parameters, about: Manifest) -> Training:
    """Return what is trained on; a sample is counted first. Raises BadClasses."""
    classes.require_learnable(about)
    weights = tuple(classes.weights(classes.rows(about))) if asked.balance == classes.WEIGHTS else None
    whole = Training(spark, asked.folder(TRAIN), about, about.rows, weights, asked.normalised(about))
    draw = draw_of(asked, about)
    if not draw.shares:
        return whole
    drawn = whole.lines().mapPartitionsWithIndex(draw.sift)
    counts = Counter(drawn.map(lambda line: lines.split(line)[0]).countByValue())
    classes.require_two(list(counts.values()))
    return replace(whole, rows=counts.total(), drawn=drawn)
