"""jobs/common/nodes.py, and what it takes from share.py"""

from __future__ import annotations

from types import SimpleNamespace

import nodes
import pytest
import share


def session(*, parallelism: int, **settings: str) -> SimpleNamespace:
    known = [(f"spark.{name.replace('_', '.')}", value) for name, value in settings.items()]
    conf = SimpleNamespace(getAll=lambda: known)
    return SimpleNamespace(sparkContext=SimpleNamespace(getConf=lambda: conf, defaultParallelism=parallelism))


@pytest.mark.parametrize(
    ("text", "size"), [("812m", 812 * 2**20), ("4g", 4 * 2**30), ("2G", 2**31), ("64k", 2**16)]
)
def test_sizes_as_spark_writes_them(text: str, size: int):
    assert share.size(text) == size


@pytest.mark.parametrize(("cores", "parallelism", "executors"), [("2", 12, 3), ("1", 4, 2), ("8", 8, 1)])
def test_executors_are_told_by_the_cluster_settings(cores: str, parallelism: int, executors: int):
    spark = session(parallelism=parallelism, executor_cores=cores)
    has = share.share_of(spark)
    assert (has.cores, has.executors) == (int(cores), executors)


def test_python_may_use_half_of_an_executor_and_of_the_driver():
    spark = session(parallelism=4, executor_memory="1g", driver_memory="512m")
    assert nodes.python_memory(spark) == (1024 + 384) * share.MIB // 2
    assert nodes.driver_memory(spark) == (512 + 384) * share.MIB // 2


def test_a_model_is_asked_of_fewer_large_rows_at_a_time():
    small, large = [("x", "ab")] * 300, [(number, bytes(9 << 20)) for number in range(3)]
    assert [len(batch) for batch in nodes.batches(small)] == [256, 44]
    assert [[key for key, _ in batch] for batch in nodes.batches(iter(large))] == [[0], [1], [2]]
    assert [len(batch) for batch in nodes.batches(small, 20)] == [10] * 30
    assert list(nodes.batches([])) == []
