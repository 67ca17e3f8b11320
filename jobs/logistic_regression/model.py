"""The fitted model: what it makes of held-out rows, and the same model as Spark ML's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from fitting import Fit
from numpy.typing import NDArray
from objective import Point, probabilities
from pixels import Block
from samples import Sample, worst, wrong

if TYPE_CHECKING:
    from pyspark.ml.classification import LogisticRegressionModel
    from pyspark.sql import SparkSession

WHITE = 255.0


@dataclass(frozen=True)
class Judged:
    """Rows by (true, predicted) class, and the worst mistakes."""

    matrix: NDArray[np.int64]
    worst: tuple[Sample, ...]

    def __add__(self, other: Judged) -> Judged:
        return Judged(self.matrix + other.matrix, tuple(worst((*self.worst, *other.worst))))


def judge(blocks: Iterable[Block], at: Point) -> Judged:
    """Return how the model does on blocks; labels that it does not know count as their own classes."""
    classes = len(at.intercepts)
    found = Judged(np.zeros((classes, classes), np.int64), ())
    for labels, pixels in blocks:
        shares = probabilities(at.margins(pixels)[1])
        pairs = np.bincount(labels * classes + shares.argmax(axis=1), minlength=classes**2)
        found += Judged(pairs.reshape(classes, classes), tuple(wrong(labels, pixels, shares)))
    return found


def spark_model(spark: SparkSession, fit: Fit) -> LogisticRegressionModel:
    """Return the fit as Spark ML's model, to be saved, loaded and asked like any other.

    Its features are those of `prepared.vectors`: pixels 0 … 1, or normalised.
    """
    from pyspark.ml.classification import LogisticRegressionModel
    from pyspark.ml.common import _py2java
    from pyspark.ml.linalg import DenseMatrix, DenseVector

    classes, columns = fit.coefficients.shape
    scale = 1.0 if fit.normalised else WHITE
    matrix = DenseMatrix(classes, columns, (fit.coefficients * scale).ravel(), isTransposed=True)
    uid = spark._jvm.org.apache.spark.ml.util.Identifiable.randomUID("logreg")
    made = spark._jvm.org.apache.spark.ml.classification.LogisticRegressionModel(
        uid,
        _py2java(spark.sparkContext, matrix),
        _py2java(spark.sparkContext, DenseVector(fit.intercepts)),
        classes,
        True,
    )
    return LogisticRegressionModel(made)
