"""Models of finished runs, as functions from rows of pixels to the probability of each class.

They come from HDFS, where whoever may submit jobs has put them; a model of scikit-learn is a program as much
as it is data. What they are loaded by has an account of its own that may do nothing else.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boosted
import classes
import estimators
import linear
import numpy as np
import scripted
from in_hdfs import Results
from normal import features
from numpy.typing import NDArray
from pictures import LADDER, Recipe
from runs import BOOSTED, ESTIMATOR, FILES, LINEAR, NETWORK, NoModel, Run
from variants import WHITE

from muster_node.sets import MASTER, Manifest

Ask = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""Returns the probability of each class (rows, classes) for the pixels of some rows (rows, pixels)."""
MIB = 1 << 20
LEAST = 1e-30
"""Probabilities below are all the same."""
LINE = 200
"""Characters that are said of why a model cannot be loaded."""
VALUES = 1 << 18
"""So many pixels' values a model is asked of at a time, at least one picture."""


@dataclass(frozen=True)
class Model:
    """A model that answers. `recipe`: how a picture becomes what it has learnt; `grades`: so its classes are.

    `threshold`: a picture has each label that is at least so probable; 0 = it has one class, the likeliest.
    """

    run: Run
    recipe: Recipe
    grades: bool
    threshold: float
    ask: Ask

    def shares(self, rows: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the probability of each class (rows, classes), asked in batches that fit."""
        step = max(VALUES // rows.shape[1], 1)
        parts = [self.ask(rows[start : start + step]) for start in range(0, len(rows), step)]
        return np.concatenate(parts)

    def odds(self, rows: NDArray[np.uint8], number: int) -> NDArray[np.float64]:
        """Return the log-odds of a class (rows), which still differ where it is all but certain."""
        shares = self.shares(rows)
        this = shares[:, number]
        others = 1 - this if self.threshold else np.delete(shares, number, axis=1).sum(axis=1)
        found: NDArray[np.float64] = np.log(this.clip(LEAST)) - np.log(others.clip(LEAST))
        return found

    def said(self, shares: Sequence[tuple[str, float]]) -> str:
        """Return the class, or all labels, of (class, probability), the likeliest first."""
        if not self.threshold:
            return shares[0][0]
        return ", ".join(name for name, share in shares if share >= self.threshold) or "none"


def are_grades(about: Manifest) -> bool:
    """Say whether the classes of a set are grades, for which the kappa tells more than the accuracy."""
    return about.kind == "eye"


def recipe_of(about: Manifest, size: int) -> Recipe:
    """Return how preprocessing has made a set's pictures, at a size."""
    made: dict[str, Any] = about.made_by
    return Recipe(
        "eye" if about.kind == "eye" else "plain",
        (size,),
        about.channels,
        int(made.get("tolerance", Recipe.tolerance)),
        MASTER if made.get("masters") else LADDER,
    )


def require_same(run: Run, about: Manifest) -> None:
    """Raise NoModel when a set's pictures or classes are not those that a run has learnt."""
    if run.channels != about.channels or (about.classes and classes.names(about) != run.names):
        raise NoModel(
            f"{run.name} has learnt another {run.dataset} than is in HDFS: its "
            f"{'classes' if run.channels == about.channels else 'colours'} are others"
        )


def load(results: Results, run: Run, memory: int) -> Model:
    """Return a run's model.

    Args:
        results: of this cluster, which has the data set.
        run: whose it is.
        memory: bytes that its file may have.

    Raises:
        NoModel: it has none that can answer here.
        HdfsError: HDFS does not answer.
    """
    engine = run.engine()
    if not engine:
        raise NoModel(f"{run.name} has saved no model that can answer here")
    about, (place, file) = results.manifest(run.dataset), FILES[engine]
    require_same(run, about)
    sizes = run.place.lengths(place)
    if sum(sizes.values()) > memory:
        raise NoModel(
            f"the model of {run.name} has {sum(sizes.values()) // MIB:,} MiB, and the launcher takes "
            f"{memory // MIB:,} at most"
        )
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        for name in sizes:
            Path(folder, name).write_bytes(run.place.read(f"{place}/{name}") or b"")
        try:
            ask = LOADERS[engine](Path(folder, file), run)
        except NoModel:
            raise
        except Exception as error:  # a model is a program, and may fail with anything
            raise NoModel(f"the model of {run.name} cannot be loaded: {_line(error)}") from error
    threshold = float(run.metrics.get("threshold") or 0)
    return Model(run, recipe_of(about, run.size), are_grades(about), threshold, ask)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:LINE] or type(error).__name__


def _network(file: Path, run: Run) -> Ask:
    import torch

    try:
        network = torch.jit.load(str(file), map_location="cpu")
    except RuntimeError as error:
        raise NoModel(f"the network of {run.name} cannot be read by PyTorch {torch.__version__}") from error

    def ask(rows: NDArray[np.uint8]) -> NDArray[np.float64]:
        with torch.no_grad():
            found: NDArray[np.float64] = (
                network(scripted.pictures(rows, run.channels, run.variant)).double().numpy()
            )
        return found

    return ask


def _boosted(file: Path, run: Run) -> Ask:
    del run
    return boosted.load(str(file)).shares


def _estimator(file: Path, run: Run) -> Ask:
    import joblib

    try:
        estimators.require_same_version(file.parent)
    except estimators.BadModel as error:
        raise NoModel(f"{run.name}: {error}") from error
    estimator = joblib.load(file)
    normalised = run.channels if run.metrics.get("normalise") else 0

    def ask(rows: NDArray[np.uint8]) -> NDArray[np.float64]:
        return estimators.shares(estimator, features(rows, normalised), len(run.names))

    return ask


def _linear(file: Path, run: Run) -> Ask:
    try:
        model = linear.load(file.parent.glob(file.name))
    except linear.NotLinear as error:
        raise NoModel(f"the model of {run.name} {error}") from error
    normalised = run.channels if run.metrics.get("normalise") else 0

    def ask(rows: NDArray[np.uint8]) -> NDArray[np.float64]:
        return model.shares(features(rows, normalised) if normalised else rows / WHITE)

    return ask


LOADERS: dict[str, Callable[[Path, Run], Ask]] = {
    NETWORK: _network,
    BOOSTED: _boosted,
    ESTIMATOR: _estimator,
    LINEAR: _linear,
}
