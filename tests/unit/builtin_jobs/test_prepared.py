"""What a prepared set's readers take from the cluster's environment."""

from __future__ import annotations

import fnmatch
import sys
from types import SimpleNamespace
from unittest.mock import MagicMock

import prepared
import pytest

from muster_node import sets


def test_the_cluster_says_which_set(monkeypatch):
    monkeypatch.setenv("MUSTER_IMAGE_SIZE", "128")
    monkeypatch.setenv("MUSTER_DATASET", "retina")
    asked = prepared.SetParameters()
    assert asked.folder("train") == "/datasets/retina/train_128"
    assert prepared.SetParameters(size=16, dataset="digits").folder("test") == "/datasets/digits/test_16"


def test_of_a_set_the_csv_files_are_read():
    name = sets.part_key("digits", "train", 16, 3, "csv.gz").rpartition("/")[2]
    assert fnmatch.fnmatch(name, prepared.FILES)
    assert not fnmatch.fnmatch("part-00003.parquet", prepared.FILES)


def test_what_is_normalised_is_asked_for_and_has_the_channels_of_the_set():
    about = sets.Manifest(channels=3)
    assert prepared.PixelParameters(size=16, dataset="x").normalised(about) == 0
    assert prepared.PixelParameters(size=16, dataset="x", normalise=True).normalised(about) == 3


def test_rows_are_normalised_few_at_a_time(monkeypatch):
    modules = {name: MagicMock() for name in ("pyspark", "pyspark.ml.functions", "pyspark.sql")}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    rows, udf = MagicMock(), modules["pyspark.sql"].functions.udf
    prepared.vectors(rows)
    assert not udf.called and not rows.sparkSession.conf.set.called
    prepared.vectors(rows, normalised=3)
    assert udf.call_args.kwargs == {"useArrow": False}, "it would take thousands at a time"
    rows.sparkSession.conf.set.assert_called_once_with("spark.sql.execution.python.udf.maxRecordsPerBatch", 8)


@pytest.mark.parametrize("executors", [True, False])
def test_without_work_for_executors_spark_is_the_driver_alone(monkeypatch, executors):
    """What PySpark is told before its JVM starts."""
    told = {}

    class Builder:
        def appName(self, _: str) -> Builder:  # noqa: N802  PySpark's name
            return self

        def config(self, key: str, value: str) -> Builder:
            told[key] = value
            return self

        def getOrCreate(self) -> MagicMock:  # noqa: N802
            return MagicMock()

    module = SimpleNamespace(SparkSession=SimpleNamespace(builder=Builder()))
    monkeypatch.setitem(sys.modules, "pyspark", SimpleNamespace(sql=module))
    monkeypatch.setitem(sys.modules, "pyspark.sql", module)
    with prepared.session("job", executors=executors):
        pass
    assert told == ({} if executors else prepared.ALONE)


def test_a_session_is_stopped_before_the_line_that_ends_the_job(monkeypatch):
    events, levels = [], []
    context = SimpleNamespace(setLogLevel=levels.append)
    session = SimpleNamespace(sparkContext=context, stop=lambda: events.append("stopped"))
    builder = SimpleNamespace(appName=lambda _: SimpleNamespace(getOrCreate=lambda: session))
    module = SimpleNamespace(SparkSession=SimpleNamespace(builder=builder))
    monkeypatch.setitem(sys.modules, "pyspark", SimpleNamespace(sql=module))
    monkeypatch.setitem(sys.modules, "pyspark.sql", module)

    def refuse() -> None:
        with prepared.session("job") as spark:
            assert spark is session and not events
            raise SystemExit("does not fit")

    with pytest.raises(SystemExit, match="does not fit"):
        refuse()
    assert events == ["stopped"]

    def fail(error: Exception) -> None:
        with prepared.session("job", KeyError, ValueError):
            raise error

    with pytest.raises(SystemExit, match="no such model"):
        fail(ValueError("no such model"))
    with pytest.raises(OSError, match="a fault"):
        fail(OSError("a fault"))
    assert levels == ["OFF"] * 2, "what a fault is due to is still told"
    assert events == ["stopped"] * 3
