"""The fitted model: what it makes of held-out rows, and the same model as Spark ML's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import judged
from fitting import Fit
from judged import Judged
from objective import Point, probabilities
from pixels import Block

if TYPE_CHECKING:
    from pyspark.ml.classification import LogisticRegressionModel
    from pyspark.sql import SparkSession

WHITE = 255.0


def judge(blocks: Iterable[Block], at: Point) -> Judged:
    """Return how the model does on blocks; labels that it does not know count as their own classes."""
    return judged.judge(blocks, lambda pixels: probabilities(at.margins(pixels)[1]), len(at.intercepts))


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
