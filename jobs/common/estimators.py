"""Models of scikit-learn: saved with the version that made them, loaded by no other, asked by all nodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodes
import normal
import numpy as np
from numpy.typing import NDArray
from share import MIB, share_of

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import SparkSession

FOLDER = "estimator"
"""Where a run's results have it."""
MODEL, ABOUT = "estimator.joblib", "about.json"


class BadModel(ValueError):
    """A saved model that cannot be used; the text is one line."""


def save(estimator: Any, folder: Path) -> None:  # noqa: ANN401  any of scikit-learn's
    """Write a model into a folder, and beside it what made it."""
    import joblib
    import sklearn

    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(estimator, folder / MODEL)
    about = {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "model": type(estimator).__name__}
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n")


def require_same_version(folder: Path) -> None:
    """Raise BadModel when another scikit-learn has saved the model: its file means nothing to this one."""
    import sklearn

    try:
        saved = str(json.loads((folder / ABOUT).read_text())["scikit-learn"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadModel(f"{folder.name} does not say which scikit-learn saved it") from error
    if saved != sklearn.__version__:
        raise BadModel(
            f"the model was saved by scikit-learn {saved}, and here is {sklearn.__version__}: train it again"
        )


def pictures(normalised: int) -> Callable[[Any], NDArray[np.generic]]:
    """Return what makes a model's input of pictures; `normalised`: their channels, 0 = pixels as they are."""
    return np.stack if not normalised else lambda rows: normal.normalise(np.stack(rows), normalised)


def probabilities(
    spark: SparkSession,
    rows: RDD,
    folder: Path,
    *,
    classes: int,
    features: Callable[[list[Any]], Any] = np.stack,
) -> RDD:
    """Return (key, probability of each class) for every row (key, value), asked on all executors.

    Args:
        spark: the session.
        rows: what is asked; each executor takes some of its partitions.
        folder: where this computer has the model, see `save`.
        classes: how many there are, also those that the model has never seen.
        features: makes the model's input of a list of values.

    Raises:
        BadModel: it was saved by another version, or is too large for an executor.
    """
    require_same_version(folder)
    model, room = folder / MODEL, nodes.python_memory(spark)
    if model.stat().st_size > room:
        raise BadModel(
            f"the model has {model.stat().st_size / MIB:,.0f} MiB and an executor's Python "
            f"{room / MIB:,.0f}: take machines with more memory"
        )
    spark.sparkContext.addFile(str(model))
    few = rows.coalesce(share_of(spark).executors)
    return nodes.alone(spark, few.mapPartitions(lambda part: _ask(part, features, classes)))


def shares(estimator: Any, values: Any, classes: int) -> NDArray[np.float64]:  # noqa: ANN401
    """Return the probability of each class (rows, classes); 0 of one that a model has never seen."""
    found = estimator.predict_proba(values)
    whole = np.zeros((len(found), classes))
    whole[:, estimator.classes_] = found
    return whole


def _ask(
    rows: Iterable[tuple[Any, Any]], features: Callable[[list[Any]], Any], classes: int
) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    import joblib
    from pyspark import SparkFiles

    estimator = joblib.load(SparkFiles.get(MODEL))
    for batch in nodes.batches(rows):
        found = shares(estimator, features([value for _, value in batch]), classes)
        yield from zip((key for key, _ in batch), found, strict=True)
