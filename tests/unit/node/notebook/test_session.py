"""`spark` is there as soon as a cell names it."""

from __future__ import annotations

import pytest

from muster_node.notebook.session import names


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("spark.range(3).count()", True),
        ("def count():\n    return spark.range(3).count()", True),
        ("rows = f(spark)", True),
        ("# spark\nprint('spark')", False),
        ("import pyspark\nfrom pyspark import sql as spark_sql", False),
        ("spark = (", False),  # no Python; the kernel says so
    ],
)
def test_only_a_name_in_the_code_counts(source: str, named: bool) -> None:
    assert names(source, "spark") is named
