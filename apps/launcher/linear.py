"""Spark ML's multinomial logistic regression, asked without Spark: its coefficients lie in a Parquet file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER, MODEL = "model/data", "part-*.parquet"
"""Where a run's results have them."""
COLUMNS = ("coefficientMatrix", "interceptVector", "isMultinomial")
DENSE = 1
"""A matrix or vector of which all values are there, as Spark tells it from a sparse one."""


class NotLinear(ValueError):
    """A model of Spark ML of another kind; the text says what it is."""


@dataclass(frozen=True)
class Linear:
    """Coefficients (classes, features) and intercepts (classes)."""

    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    def shares(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probability of each class (rows, classes) for features (rows, features)."""
        margins = features @ self.coefficients.T + self.intercepts
        margins -= margins.max(axis=1, keepdims=True)
        raised = np.exp(margins)
        found: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
        return found


def load(files: Iterable[Path]) -> Linear:
    """Return the model whose file is among these. Raises NotLinear, OSError."""
    import pyarrow
    from pyarrow import parquet

    for file in files:
        try:
            opened = parquet.ParquetFile(file)
            if not set(COLUMNS) <= set(opened.schema_arrow.names):
                raise NotLinear(
                    "is one of Spark ML that only Spark can ask; of random_forest engine=sklearn answers"
                )
            table = opened.read(list(COLUMNS))
        except pyarrow.ArrowException as error:
            raise NotLinear("is no Parquet file of Spark ML") from error
        if table.num_rows:
            return _of(*(table[name].combine_chunks() for name in COLUMNS))
    raise NotLinear("is empty")


def _of(matrix: Any, vector: Any, multinomial: Any) -> Linear:  # noqa: ANN401  columns of Arrow, one row each
    kinds = {int(each.field("type")[0].as_py()) for each in (matrix, vector)}
    if kinds != {DENSE} or not multinomial[0].as_py():
        raise NotLinear("is no multinomial one with dense coefficients")
    rows, columns = (int(matrix.field(name)[0].as_py()) for name in ("numRows", "numCols"))
    by_rows = bool(matrix.field("isTransposed")[0].as_py())
    return Linear(_values(matrix).reshape(rows, columns, order="C" if by_rows else "F"), _values(vector))


def _values(column: Any) -> NDArray[np.float64]:  # noqa: ANN401
    found: NDArray[np.float64] = column.field("values")[0].values.to_numpy()
    return found
