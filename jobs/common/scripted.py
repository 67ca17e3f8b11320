"""Networks of PyTorch as files that need no code of ours: TorchScript, asked on all nodes.

network = torch.jit.load("network.pt")
probabilities = network(pictures(rows, channels=1))     # rows of pixels, as prepared sets have them
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodes
import numpy as np
from numpy.typing import NDArray
from share import share_of
from variant_names import NORMAL
from variants import values

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

FOLDER = "network"
"""Where a run's results have it."""
MODEL, ABOUT = "network.pt", "about.json"
VALUES = 2**19
"""That a network is asked of at a time: 64 features of each, as numbers of four bytes, are 128 MiB."""


def pictures(rows: NDArray[np.uint8], channels: int, variant: str = NORMAL) -> Any:  # noqa: ANN401  a tensor
    """Return rows of pixels as networks take them: (rows, channels, side, side), each channel normalised.

    `variant`: another one of `variants` for a network that was trained with it.
    """
    import torch

    side = round((rows.shape[1] / channels) ** 0.5)
    found = values(rows, variant, channels).reshape(len(rows), side, side, channels)
    return torch.from_numpy(np.ascontiguousarray(found.transpose(0, 3, 1, 2)))


def save(network: Any, like: Any, folder: Path) -> None:  # noqa: ANN401
    """Write a network that returns probabilities; `like`: a tensor such as it takes."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.jit.save(torch.jit.trace(network.eval(), like), str(folder / MODEL))
    (folder / ABOUT).write_text(json.dumps({"torch": torch.__version__}, indent=1) + "\n")


def probabilities(spark: SparkSession, rows: RDD, model: Path, *, channels: int, variant: str) -> RDD:
    """Return (key, probability of each class) for every row (key, pixels), asked on all executors.

    `model`: the folder of this computer that has it, see `save`; `variant`: see `pictures`.
    """
    spark.sparkContext.addFile(str(model / MODEL))
    few = rows.coalesce(share_of(spark).executors)
    return nodes.alone(spark, few.mapPartitions(partial(_ask_fetched, channels=channels, variant=variant)))


def ask(
    rows: Iterable[tuple[Any, NDArray[np.uint8]]], path: str, channels: int, variant: str = NORMAL
) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    """Yield (key, probability of each class) for every row (key, pixels), in batches that fit."""
    import torch

    network = torch.jit.load(path, map_location="cpu")
    for batch in nodes.batches(rows, VALUES):
        asked = pictures(np.stack([pixels for _, pixels in batch]), channels, variant)
        with torch.no_grad():
            shares = network(asked).double().numpy()
        yield from zip((key for key, _ in batch), shares, strict=True)


def _ask_fetched(
    rows: Iterable[tuple[Any, NDArray[np.uint8]]], channels: int, variant: str
) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    from pyspark import SparkFiles

    return ask(rows, str(SparkFiles.get(MODEL)), channels, variant)
