"""An extension of IPython, loaded by the kernels: `spark` is there as soon as a cell names it.

A session costs a JVM on the master, and some seconds; a kernel that does without Spark has none.
"""

from __future__ import annotations

import ast
from typing import Any

NAME = "spark"


def names(source: str, name: str) -> bool:
    """Say whether a cell's Python uses a name."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return False
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


def load_ipython_extension(shell: Any) -> None:  # noqa: ANN401  IPython's own
    """Watch the cells of a kernel; called by IPython."""

    def before(cell: Any) -> None:  # noqa: ANN401
        if NAME not in shell.user_ns and names(shell.transform_cell(cell.raw_cell or ""), NAME):
            from pyspark.sql import SparkSession

            shell.user_ns[NAME] = SparkSession.builder.getOrCreate()

    shell.events.register("pre_run_cell", before)
