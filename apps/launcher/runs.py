"""Which run's model answers: the best of the cluster's data set, or one that was pinned.

The best is the finished run with the highest headline metric: the quadratically weighted kappa where the
classes are grades, else the accuracy; of equal ones the youngest. Where runs come from: in_hdfs.py (this
cluster's HDFS) and earlier.py (clusters before it).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

import boosted
import estimators
import linear
import scripted
from variant_names import NORMAL

METRICS = "metrics.json"
RUN = re.compile(r"[a-z0-9_][\w.-]*(/[a-z]+_[a-z]+)?", re.ASCII)
"""The name of a run, or of one within a run of `grid`: RUN/VARIANT_MODEL."""
BEGAN = re.compile(r"-(\d{8}-\d{6})-[0-9a-f]{4}(?:/|$)")
CELL = re.compile(r"[a-z]+_[a-z]+")
NETWORK, BOOSTED, ESTIMATOR, LINEAR = "network", "boosted", "estimator", "linear"
FILES = {
    NETWORK: (scripted.FOLDER, scripted.MODEL),
    BOOSTED: (boosted.FOLDER, boosted.MODEL),
    ESTIMATOR: (estimators.FOLDER, estimators.MODEL),
    LINEAR: (linear.FOLDER, linear.MODEL),
}
"""Folder and file of a model in the results of a run, by its engine; the first that is there answers."""


class NoModel(Exception):
    """A run has no model that can answer here; the text is one line."""

    def note(self) -> str:
        """Return what is said of a run that would answer if it could."""
        return f"Passed over: {self}"


class Place(Protocol):
    """Where the results of a run lie. Every method raises NoModel and HdfsError: they cannot be read."""

    def lengths(self, folder: str) -> Mapping[str, int]:
        """Return name -> bytes of the files in a folder, nothing when it is not there."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return a file, None when there is none."""
        ...


@dataclass(frozen=True)
class Run:
    """A finished run.

    `metrics`: what it has written about itself; `place`: where its results are; `cluster`: the earlier one
    that it ran on, '' = this one.
    """

    name: str
    metrics: Mapping[str, Any]
    place: Place = field(repr=False, compare=False)
    cluster: str = ""

    @classmethod
    def at(cls, place: Place, name: str, cluster: str = "") -> Run | None:
        """Return the run whose results are somewhere, None when it has written no metrics there."""
        try:
            return cls(name, dict(json.loads(place.read(METRICS) or b"")), place, cluster)
        except (ValueError, TypeError, RecursionError):
            return None

    @property
    def began(self) -> str:
        """When it was submitted, in an order that can be compared; '' = its name does not tell."""
        match = BEGAN.search(self.name)
        return match[1] if match else ""

    @property
    def of_pictures(self) -> bool:
        """Whether its metrics are those of a model that knows classes of pictures."""
        known = self.metrics
        numbers = (known.get(key) for key in ("image_size", "pixels", "accuracy"))
        return isinstance(known.get("class_names"), list) and all(
            isinstance(number, int | float) for number in numbers
        )

    @property
    def dataset(self) -> str:
        """The name of the data set that it has learnt."""
        return str(self.metrics.get("dataset", ""))

    @property
    def names(self) -> list[str]:
        """The names of its classes, by number."""
        return [str(name) for name in self.metrics["class_names"]]

    @property
    def size(self) -> int:
        """Pixels a side of the pictures that it has learnt."""
        return int(self.metrics["image_size"])

    @property
    def channels(self) -> int:
        """Values a pixel."""
        return int(self.metrics["pixels"]) // self.size**2

    @property
    def variant(self) -> str:
        """What its network is given of pictures, see jobs/common/variants.py."""
        return str(self.metrics.get("variant") or NORMAL)

    def engine(self) -> str:
        """Return which of its models can answer, '' = none. Raises NoModel, HdfsError."""
        for name, (folder, file) in FILES.items():
            if any(fnmatchcase(there, file) for there in self.place.lengths(folder)):
                return name
        return ""

    def cells(self) -> list[str]:
        """Return the names of the runs within a run of `grid`: folders of its results, as VARIANT_MODEL."""
        table = self.metrics.get("accuracies")
        rows = table.items() if isinstance(table, dict) else ()
        found = (
            f"{variant}_{model}"
            for variant, row in rows
            for model, right in (row.items() if isinstance(row, dict) else ())
            if right is not None
        )
        return [name for name in found if CELL.fullmatch(name)]

    def headline(self, *, grades: bool) -> tuple[str, float]:
        """Return the metric that ranks it, by name, and its value; of two engines that which answers here."""
        known = self.metrics.get("engines", {}).get("sklearn", self.metrics)
        kappa = known.get("quadratic_weighted_kappa")
        if grades and isinstance(kappa, int | float):
            return "kappa", float(kappa)
        return "accuracy", float(known["accuracy"])


def ranked(runs: Iterable[Run], *, dataset: str, grades: bool) -> list[Run]:
    """Return the runs that know classes of a data set's pictures, the best first."""
    fit = [run for run in runs if run.of_pictures and run.dataset == dataset]
    return sorted(fit, key=lambda run: (run.headline(grades=grades)[1], run.began), reverse=True)
