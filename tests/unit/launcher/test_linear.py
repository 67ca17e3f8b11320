"""Spark ML's logistic regression without Spark: from the file that it has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import linear
import numpy as np
import pyarrow
import pytest
from answering import Desk
from pyarrow import parquet
from runs import NoModel
from uploads import Upload

from .conftest import SIDE, Cluster, bright
from .test_answering import RUN, png

VECTOR = pyarrow.struct(
    [("type", pyarrow.int8()), ("size", pyarrow.int32()), ("indices", pyarrow.list_(pyarrow.int32())),
     ("values", pyarrow.list_(pyarrow.float64()))]
)  # fmt: skip
MATRIX = pyarrow.struct(
    [("type", pyarrow.int8()), ("numRows", pyarrow.int32()), ("numCols", pyarrow.int32()),
     ("colPtrs", pyarrow.list_(pyarrow.int32())), ("rowIndices", pyarrow.list_(pyarrow.int32())),
     ("values", pyarrow.list_(pyarrow.float64())), ("isTransposed", pyarrow.bool_())]
)  # fmt: skip
SCHEMA = pyarrow.schema(
    [("numClasses", pyarrow.int32()), ("numFeatures", pyarrow.int32()), ("interceptVector", VECTOR),
     ("coefficientMatrix", MATRIX), ("isMultinomial", pyarrow.bool_())]
)  # fmt: skip
"""Of model/data as Spark 4 writes it."""


def save(
    folder: Path, coefficients: np.ndarray, intercepts: list[float], *, by_rows: bool = True, **other: Any
) -> None:
    """Write a model as Spark does."""
    folder.mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    rows, columns = coefficients.shape
    row = {
        "numClasses": rows,
        "numFeatures": columns,
        "interceptVector": {"type": 1, "values": intercepts},
        "coefficientMatrix": {
            "type": 1, "numRows": rows, "numCols": columns, "isTransposed": by_rows,
            "values": coefficients.ravel("C" if by_rows else "F").tolist(),
        },
        "isMultinomial": True,
    } | other  # fmt: skip
    table = pyarrow.Table.from_pylist([row], schema=SCHEMA)
    parquet.write_table(table, folder / "part-00000-5f0b-c000.snappy.parquet", compression="snappy")


def lamp() -> np.ndarray:
    """Coefficients by which the lamp is light from half its brightness on."""
    found = np.zeros((2, SIDE**2))
    found[1] = (bright(1.0).reshape(-1) == 255) / 64 * 20
    return found


@pytest.mark.parametrize("by_rows", [True, False])
def test_probabilities_are_those_of_its_coefficients(tmp_path: Path, by_rows: bool) -> None:
    coefficients = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]])
    save(tmp_path / "data", coefficients, [0.5, 0.0], by_rows=by_rows)
    model = linear.load((tmp_path / "data").glob(linear.MODEL))
    raised = np.exp([1 * 0.5 + 2 * 0.25 + 0.5, -0.25 + 3 * 1.0])
    assert model.shares(np.array([[0.5, 0.25, 1.0]]))[0] == pytest.approx(raised / raised.sum())
    assert model.shares(np.array([[1e6, 0, 0]]))[0] == pytest.approx([1, 0])


@pytest.mark.parametrize("normalise", [False, True])
def test_a_run_of_logistic_regression_answers(desk: Desk, cluster: Cluster, normalise: bool) -> None:
    cluster.run(RUN, model=False, job="logistic_regression", normalise=normalise)
    save(cluster.root / "results" / RUN / linear.FOLDER, lamp(), [10.0, 0.0])
    run = desk.ready().run
    answers = [desk.answer(Upload("a.png", png(bright(share))), run, look=True) for share in (0.1, 0.9)]
    said = [answer.said for answer in answers]
    assert said == (["light"] * 2 if normalise else ["dark", "light"])
    assert answers[1].looked, "where it looks is found out as with any other model"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"isMultinomial": False}, "is no multinomial one"),
        ({"interceptVector": {"type": 0, "values": []}}, "is no multinomial one with dense coefficients"),
    ],
)
def test_what_it_is_not_is_said(desk: Desk, cluster: Cluster, other: dict[str, Any], said: str) -> None:
    cluster.run(RUN, model=False)
    save(cluster.root / "results" / RUN / linear.FOLDER, lamp(), [0.0, 0.0], **other)
    with pytest.raises(NoModel, match=f"the model of {RUN} {said}"):
        desk.pin(RUN)


def test_a_forest_of_spark_is_passed_over_with_what_would_answer(desk: Desk, cluster: Cluster) -> None:
    cluster.run(RUN, model=False, accuracy=0.9)
    folder = cluster.root / "results" / RUN / linear.FOLDER
    folder.mkdir(parents=True)
    parquet.write_table(pyarrow.table({"id": [0], "nodeData": [1]}), folder / "part-00000.parquet")
    cluster.run("cnn-20261129-110000-bbbb", accuracy=0.5)
    chosen = desk.ready()
    assert chosen.run.name == "cnn-20261129-110000-bbbb"
    assert chosen.notes == (
        (
            f"Passed over: the model of {RUN} is one of Spark ML that only Spark can ask; "
            "of random_forest engine=sklearn answers"
        ),
    )
    (folder / "part-00000.parquet").write_bytes(b"no such thing")
    with pytest.raises(NoModel, match="is no Parquet file of Spark ML"):
        desk.pin(RUN)
