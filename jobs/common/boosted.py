"""Boosted trees of XGBoost: saved in its own form, which later versions read, and asked on all nodes.

import boosted
model = boosted.load("boosted.ubj")
probabilities = model.shares(rows)     # rows of pixels, 0 to 255, as prepared sets have them
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodes
import numpy as np
from numpy.typing import NDArray
from share import share_of
from variants import values

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

FOLDER = "boosted"
"""Where a run's results have it."""
MODEL, ABOUT = "boosted.ubj", "about.json"
INPUT = "muster_input"
"""The model's attribute that has its Input."""


@dataclass(frozen=True)
class Input:
    """What trees are given of pixels. `variant`: see `variants`; `channels`: of a picture.

    `columns`: the numbers of those that the model knows, () = all.
    """

    variant: str
    channels: int = 1
    columns: tuple[int, ...] = ()

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return it for rows of pixels."""
        found = values(pixels, self.variant, self.channels)
        return found[:, list(self.columns)] if self.columns else found


@dataclass(frozen=True)
class Model:
    """Trees, and what they are asked with."""

    trees: Any
    input: Input

    def shares(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the probability of each class (rows, classes) for rows of pixels."""
        return np.asarray(self.trees.inplace_predict(self.input.of(pixels)), dtype=np.float64)


def save(model: Model, folder: Path) -> None:
    """Write a model into a folder, and beside it what made it."""
    import xgboost

    folder.mkdir(parents=True, exist_ok=True)
    model.trees.set_attr(**{INPUT: json.dumps(asdict(model.input))})
    model.trees.save_model(folder / MODEL)
    (folder / ABOUT).write_text(json.dumps({"xgboost": xgboost.__version__}, indent=1) + "\n")


def load(path: str) -> Model:
    """Return a model that `save` has written, as a file."""
    import xgboost

    trees = xgboost.Booster(model_file=path)
    known = json.loads(trees.attr(INPUT))
    return Model(trees, Input(**known | {"columns": tuple(known["columns"])}))


def probabilities(spark: SparkSession, rows: RDD, model: Path) -> RDD:
    """Return (key, probability of each class) for every row (key, pixels), asked on all executors.

    `model`: the folder of this computer that has it, see `save`.
    """
    spark.sparkContext.addFile(str(model / MODEL))
    few = rows.coalesce(share_of(spark).executors)
    return nodes.alone(spark, few.mapPartitions(lambda part: ask(part, _fetched())))


def ask(
    rows: Iterable[tuple[Any, NDArray[np.uint8]]], path: str
) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    """Yield (key, probability of each class) for every row (key, pixels), in batches that fit."""
    model = load(path)
    for batch in nodes.batches(rows):
        found = model.shares(np.stack([pixels for _, pixels in batch]))
        yield from zip((key for key, _ in batch), found, strict=True)


def _fetched() -> str:
    from pyspark import SparkFiles

    return str(SparkFiles.get(MODEL))
