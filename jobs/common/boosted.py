"""Boosted trees of XGBoost: saved in its own form, which later versions read, and asked on all nodes.

import xgboost
model = xgboost.Booster(model_file="boosted.ubj")
probabilities = model.inplace_predict(rows)     # pixels as numbers of single precision, rows of 0 to 255
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodes
import numpy as np
from normal import features
from numpy.typing import NDArray
from share import share_of

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

FOLDER = "boosted"
"""Where a run's results have it."""
MODEL, ABOUT = "boosted.ubj", "about.json"


def save(model: Any, folder: Path) -> None:  # noqa: ANN401  XGBoost has no types
    """Write a model into a folder, and beside it what made it."""
    import xgboost

    folder.mkdir(parents=True, exist_ok=True)
    model.save_model(folder / MODEL)
    (folder / ABOUT).write_text(json.dumps({"xgboost": xgboost.__version__}, indent=1) + "\n")


def load(path: str) -> Any:  # noqa: ANN401
    """Return a model that `save` has written, as a file."""
    import xgboost

    return xgboost.Booster(model_file=path)


def shares(model: Any, pixels: NDArray[np.generic], normalised: int) -> NDArray[np.float64]:  # noqa: ANN401
    """Return the probability of each class for rows of pixels; `normalised`: channels, 0 = as they are."""
    return np.asarray(model.inplace_predict(features(pixels, normalised)), dtype=np.float64)


def probabilities(spark: SparkSession, rows: RDD, model: Path, *, normalised: int) -> RDD:
    """Return (key, probability of each class) for every row (key, pixels), asked on all executors.

    `model`: the folder of this computer that has it, see `save`.
    """
    spark.sparkContext.addFile(str(model / MODEL))
    few = rows.coalesce(share_of(spark).executors)
    return nodes.alone(spark, few.mapPartitions(partial(_ask_fetched, normalised=normalised)))


def ask(
    rows: Iterable[tuple[Any, NDArray[np.uint8]]], path: str, normalised: int
) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    """Yield (key, probability of each class) for every row (key, pixels), in batches that fit."""
    model = load(path)
    for batch in nodes.batches(rows):
        found = shares(model, np.stack([pixels for _, pixels in batch]), normalised)
        yield from zip((key for key, _ in batch), found, strict=True)


def _ask_fetched(
    rows: Iterable[tuple[Any, NDArray[np.uint8]]], normalised: int
) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    from pyspark import SparkFiles

    return ask(rows, str(SparkFiles.get(MODEL)), normalised)
