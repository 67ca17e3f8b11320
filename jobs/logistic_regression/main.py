"""Multinomial logistic regression over the pixels of a preprocessed image set, with Spark ML.

Reads `<data>/train_<size>` and `<data>/holdout_<size>` (CSV, label first) from HDFS; writes metrics.json,
confusion_matrix.png and the model to HDFS (`--output`) and to the folder of the run ($MUSTER_RESULTS).
Executors, cores and memory come from the cluster's spark-defaults.conf.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import picture
import scores

from muster_node import sets

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark.ml.classification import LogisticRegressionModel
    from pyspark.sql import DataFrame, SparkSession

MIB = 2**20
LARGEST_PART = 64 * MIB
"""Bytes of a part of dense vectors; a task holds it twice, once as the block that it multiplies."""
SMALLEST_PART = 8 * MIB
"""Bytes below which handing out one more task an iteration costs more than its work saves."""


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; the defaults come from the environment that the cluster sets for jobs."""
    run = os.environ.get("MUSTER_RUN", "logistic_regression")
    dataset = os.environ.get("MUSTER_DATASET", "digits")
    parser = argparse.ArgumentParser(prog="logistic_regression", description=__doc__)
    size = int(os.environ.get("MUSTER_IMAGE_SIZE", sets.DEFAULT_SIZE))
    add = parser.add_argument
    add("--size", type=int, default=size, help="pixels a side (default: %(default)s)")
    add("--dataset", default=dataset, help="name of the data set (default: %(default)s)")
    add("--data", default="", help="folder of the prepared sets (default: /datasets/<dataset>)")
    add("--output", default=f"/results/{run}", help="folder in HDFS (default: %(default)s)")
    add("--max-iter", type=int, default=100, help="most L-BFGS iterations (default: %(default)s)")
    add("--reg", type=float, default=0.01, help="weight of the L2 penalty (default: %(default)s)")
    parsed = parser.parse_args(argv)
    parsed.data = parsed.data or sets.staged_home(parsed.dataset)
    return parsed


def partitions(*, rows: int, columns: int, cores: int) -> int:
    """Return in how many parts the rows are trained on.

    Every core has one where there is enough to do, all the same number where one each would be too large.
    """
    size = rows * columns * 8
    if size <= cores * LARGEST_PART:
        return max(1, min(cores, math.ceil(size / SMALLEST_PART)))
    return cores * math.ceil(size / (cores * LARGEST_PART))


def headline(metrics: dict[str, Any]) -> str:
    """Return the result in one line."""
    side = metrics["image_size"]
    return (
        f"accuracy {metrics['accuracy']:.2%}, "
        f"quadratically weighted kappa {metrics['quadratic_weighted_kappa']:.3f} "
        f"on {metrics['holdout_rows']:,} held-out images of {side}x{side} "
        f"({metrics['train_rows']:,} to train on, {metrics['iterations']} iterations, "
        f"{metrics['seconds']:.0f} s)"
    )


def read(spark: SparkSession, folder: str) -> DataFrame:
    """Return the lines of the CSV files in `folder` (compressed or not)."""
    return spark.read.text(folder, pathGlobFilter="part-*")


def parse(lines: DataFrame) -> DataFrame:
    """Turn lines `label,pixel,pixel,…` into a frame (label, features), pixels scaled to 0 … 1.

    A line is split and cast inside the JVM: no schema of a column per pixel, no Python process in between.
    """
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as sql

    values = lines.select(sql.split("value", ",").cast("array<double>").alias("values"))
    pixels = sql.transform(sql.expr("slice(values, 2, size(values) - 1)"), lambda value: value / 255.0)
    return values.select(sql.expr("values[0]").alias("label"), array_to_vector(pixels).alias("features"))


def check_input(spark: SparkSession, arguments: argparse.Namespace) -> None:
    """End with one line when a set is not there."""
    for part in (sets.TRAIN, sets.HOLDOUT):
        folder = hadoop_path(spark, f"{arguments.data}/{sets.set_name(part, arguments.size)}")
        if not file_system(spark, folder).exists(folder):
            raise SystemExit(
                f"There is no {folder}: stage this size with "
                f"`ansible-playbook main.yml -e IMAGE_SIZE={arguments.size}`, then submit again."
            )


def train(data: DataFrame, *, max_iter: int, reg: float) -> LogisticRegressionModel:
    """Fit the model on the frame (label, features).

    Spark's standardization stays on: pixels of the border hardly vary; without it L-BFGS does not converge.
    """
    from pyspark.ml.classification import LogisticRegression

    fitter = LogisticRegression(
        family="multinomial", maxIter=max_iter, regParam=reg, tol=1e-4, aggregationDepth=2
    )
    return fitter.fit(data)


def evaluate(model: LogisticRegressionModel, data: DataFrame) -> list[tuple[int, int, int]]:
    """Return (true, predicted, rows) for every pair that occurs."""
    pairs = model.transform(data).groupBy("label", "prediction").count().collect()
    return [(int(pair["label"]), int(pair["prediction"]), int(pair["count"])) for pair in pairs]


def hadoop_path(spark: SparkSession, path: str) -> JavaObject:
    """Return `path` as Hadoop's Path."""
    return spark._jvm.org.apache.hadoop.fs.Path(path)


def file_system(spark: SparkSession, path: JavaObject) -> JavaObject:
    """Return the file system that the Hadoop path lies in."""
    return path.getFileSystem(spark._jsc.hadoopConfiguration())


def publish(spark: SparkSession, model: LogisticRegressionModel, results: Path, output: str) -> None:
    """Write the model to `output`, copy it into `results`, and copy the other results to `output`."""
    target = hadoop_path(spark, output)
    files = file_system(spark, target)
    model.write().overwrite().save(f"{output}/model")
    shutil.rmtree(results / "model", ignore_errors=True)
    here = hadoop_path(spark, f"file:{results}")
    files.copyToLocalFile(False, hadoop_path(spark, f"{output}/model"), here, True)
    for name in ("metrics.json", "confusion_matrix.png"):
        files.copyFromLocalFile(False, True, hadoop_path(spark, f"file:{results / name}"), target)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, score, publish."""
    options = arguments(argv)
    results = Path(os.environ.get("MUSTER_RESULTS", "results")).resolve()
    results.mkdir(parents=True, exist_ok=True)
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName(f"logistic_regression {options.size}x{options.size}").getOrCreate()
    check_input(spark, options)
    train_folder, holdout_folder = (
        f"{options.data}/{sets.set_name(part, options.size)}" for part in (sets.TRAIN, sets.HOLDOUT)
    )
    print(f"Reading {train_folder}", flush=True)
    started = time.monotonic()
    lines = read(spark, train_folder)
    rows, columns = lines.selectExpr("count(*)", "max(length(value) - length(replace(value, ',')))").first()
    if not rows:
        raise SystemExit(f"{train_folder} has no rows.")
    parts = partitions(rows=rows, columns=columns, cores=spark.sparkContext.defaultParallelism)
    training = parse(lines.repartition(parts)).cache()
    print(f"Training on {rows:,} images of {options.size}x{options.size} in {parts} parts", flush=True)
    model = train(training, max_iter=options.max_iter, reg=options.reg)
    fitted = time.monotonic()
    holdout = parse(read(spark, holdout_folder))
    matrix = scores.confusion(evaluate(model, holdout), model.numClasses)
    metrics = {
        "job": "logistic_regression",
        "dataset": options.dataset,
        "image_size": options.size,
        "pixels": columns,
        "parts": parts,
        "train_rows": rows,
        "holdout_rows": int(matrix.sum()),
        "iterations": model.summary.totalIterations,
        "train_seconds": round(fitted - started, 2),
        "seconds": round(time.monotonic() - started, 2),
        **scores.summary(matrix),
    }
    (results / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    picture.draw_confusion(
        matrix,
        title=f"{options.dataset}, {options.size}x{options.size}: {metrics['accuracy']:.1%} right",
        subtitle=f"{metrics['holdout_rows']:,} held-out images, "
        f"quadratically weighted kappa {metrics['quadratic_weighted_kappa']:.3f}",
        path=results / "confusion_matrix.png",
    )
    publish(spark, model, results, options.output)
    spark.stop()
    print(headline(metrics), flush=True)


if __name__ == "__main__":
    main()
