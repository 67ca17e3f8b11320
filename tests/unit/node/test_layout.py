"""The executors of one run: all three numbers or none, and how Spark is told."""

from __future__ import annotations

from typing import Any

import pytest

from muster_node.queue import layout

GIVEN = {"executors": 3, "executor_cores": 2, "executor_memory_mb": 1024}


def test_spark_is_told_all_of_it() -> None:
    layout.require(GIVEN)
    layout.require({})
    assert layout.options({}) == []
    assert layout.options(GIVEN) == [
        "--conf spark.executor.cores=2",
        "--conf spark.executor.memory=1024m",
        "--conf spark.cores.max=6",
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"executors": 3},
        GIVEN | {"driver": 1},
        GIVEN | {"executors": 0},
        GIVEN | {"executors": True},
        GIVEN | {"executors": "3"},
        GIVEN | {"executor_memory_mb": "1024m --conf spark.x=y"},
        GIVEN | {"executor_memory_mb": 10**9},
        [3, 2, 1024],
    ],
)
def test_what_is_no_layout_is_refused_in_one_line(given: Any) -> None:
    with pytest.raises(ValueError, match="Spark") as caught:
        layout.require(given)
    assert "\n" not in str(caught.value)
