"""Reading prepared sets: which there are in HDFS, what is written about them, and their rows in Spark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hadoop import not_staged, require
from options import option

from muster_node import sets
from muster_node.sets import Manifest

if TYPE_CHECKING:
    from py4j.java_gateway import JavaObject
    from pyspark.sql import DataFrame, SparkSession

FILES = "part-*.csv*"
UDF_ROWS = 8
"""Rows that Spark and Python hand each other at a time: there each value is an object of 32 bytes."""


ALONE = {
    "spark.master": "local[1]",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
}
"""Spark in the driver alone: no executor is started, and no code compiled twice for what runs once."""


@dataclass(frozen=True)
class SetParameters:
    """The parameters of every job that learns from a prepared set; the cluster has set the defaults."""

    size: int = option(
        lambda: int(os.environ.get("MUSTER_IMAGE_SIZE", sets.DEFAULT_SIZE)),
        "pixels a side of the pictures",
        choices=sets.SIZES,
        shown="the size last staged",
    )
    dataset: str = option(
        lambda: os.environ.get("MUSTER_DATASET", "digits"),
        "name of the data set",
        shown="that of the config file",
    )

    def folder(self, part: str) -> str:
        """Return the folder in HDFS of one part (`train`, `holdout`, `test`)."""
        return sets.staged_folder(self.dataset, part, self.size)


@dataclass(frozen=True)
class PixelParameters(SetParameters):
    """The parameters of jobs that learn from pixels: which rows, and whether normalised."""

    balance: str = option(
        "none",
        "rare classes: more weight for their rows, or as few rows of the others",
        choices=sets.BALANCES,
    )
    sample: float = option(1.0, "share of each class's rows to train on", least=0.0001, most=1)
    seed: int = option(2016, "of the sample", least=0, most=2**31 - 1)
    normalise: bool = option(False, "give each channel of each picture mean 0 and deviation 1 first")

    def normalised(self, about: Manifest) -> int:
        """Return the channels of what is normalised, 0 = pixels are taken as they are; see `normal`."""
        return about.channels if self.normalise else 0


@contextmanager
def session(name: str, *refusals: type[Exception], executors: bool = True) -> Iterator[SparkSession]:
    """Yield Spark's session, and stop it whatever happens: what ends the job is its last line then.

    Args:
        name: of the application.
        refusals: errors that end the job with their own words, as a line.
        executors: whether there is work for them; without, a start costs half of a processor's seconds.

    Ends the job with a line on a machine without HDFS.
    """
    require()
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name)
    for key, value in ({} if executors else ALONE).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    endings: tuple[type[BaseException], ...] = (SystemExit, *refusals)
    try:
        yield spark
    except endings as error:
        # Executors that are only just coming find nobody; what Spark says of that is not why the job ends.
        spark.sparkContext.setLogLevel("OFF")
        raise SystemExit(str(error)) from error
    finally:
        spark.stop()


def manifest(spark: SparkSession, folder: str) -> Manifest:
    """Return what is written about the set in a folder. Ends the job with a line when it is not there."""
    text = read_text(spark, f"{folder}/{sets.STAGED_MANIFEST}")
    if text is None:
        raise SystemExit(not_staged(folder))
    return Manifest.from_json(text)


def exists(spark: SparkSession, path: str) -> bool:
    """Return whether there is a file or folder at a path of HDFS."""
    there = hadoop_path(spark, path)
    return bool(file_system(spark, there).exists(there))


def read_text(spark: SparkSession, path: str) -> str | None:
    """Return a small file of HDFS, None when there is none."""
    if not exists(spark, path):
        return None
    there = hadoop_path(spark, path)
    stream = file_system(spark, there).open(there)
    try:
        return str(spark._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
    finally:
        stream.close()


def lines(spark: SparkSession, folder: str) -> DataFrame:
    """Return the lines `label,pixel,pixel,…` of a set as a frame of one column, `value`."""
    return spark.read.text(folder, pathGlobFilter=FILES)


def vectors(rows: DataFrame, *kept: str, normalised: int = 0) -> DataFrame:
    """Turn lines into a frame (label, features), pixels scaled to 0 … 1; the columns `kept` stay.

    A line is split and cast inside the JVM: no schema of a column per pixel, no Python process in between.
    Only with `normalised`, the channels of a picture, there is one, which normalises.
    """
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as sql

    values = rows.select(sql.split("value", ",").cast("array<double>").alias("values"), *kept)
    pixels = sql.expr("slice(values, 2, size(values) - 1)")
    if normalised:
        from normal import normalise_row

        rows.sparkSession.conf.set("spark.sql.execution.python.udf.maxRecordsPerBatch", UDF_ROWS)
        normal = sql.udf(lambda values: normalise_row(values, normalised), "array<double>", useArrow=False)
        pixels = normal(pixels)
    else:
        pixels = sql.transform(pixels, lambda value: value / 255.0)
    return values.select(
        sql.expr("values[0]").alias("label"), array_to_vector(pixels).alias("features"), *kept
    )


def hadoop_path(spark: SparkSession, path: str) -> JavaObject:
    """Return `path` as Hadoop's Path."""
    return spark._jvm.org.apache.hadoop.fs.Path(path)


def file_system(spark: SparkSession, path: JavaObject) -> JavaObject:
    """Return the file system that a Hadoop path lies in."""
    return path.getFileSystem(spark._jsc.hadoopConfiguration())
