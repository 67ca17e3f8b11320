"""Which run's model answers: the best of the cluster's data set, or one that was pinned.

The best is the finished run with the highest headline metric: the quadratically weighted kappa where the
classes are grades, else the accuracy; of equal ones the youngest. Pure but for what `Results` reads of HDFS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boosted
import estimators
import scripted
from variant_names import NORMAL

from muster_node import sets
from muster_node.hdfs.folder import Folder
from muster_node.hdfs.webhdfs import Hdfs
from muster_node.sets import Manifest

RESULTS = "/results"
RUN = re.compile(r"[a-z0-9_][\w.-]*", re.ASCII)
BEGAN = re.compile(r"-(\d{8}-\d{6})-[0-9a-f]{4}$")
NETWORK, BOOSTED, ESTIMATOR = "network", "boosted", "estimator"
FILES = {
    NETWORK: (scripted.FOLDER, scripted.MODEL),
    BOOSTED: (boosted.FOLDER, boosted.MODEL),
    ESTIMATOR: (estimators.FOLDER, estimators.MODEL),
}
"""Folder and file of a model in the results of a run, by its engine; the first that is there answers."""


class NoModel(Exception):
    """A run has no model that can answer here; the text is one line."""


@dataclass(frozen=True)
class Run:
    """A finished run. `metrics`: what it has written about itself."""

    name: str
    metrics: Mapping[str, Any]

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


@dataclass
class Results:
    """What HDFS has of finished runs; what was read once is remembered, as it does not change."""

    hdfs: Hdfs | Folder
    _known: dict[str, Run] = field(default_factory=dict)

    def all(self) -> list[Run]:
        """Return the runs that have written metrics. Raises HdfsError."""
        there = [name for name in self.hdfs.folders(RESULTS) if RUN.fullmatch(name)]
        return [run for name in there if (run := self._read(name))]

    def named(self, name: str) -> Run:
        """Return one run. Raises NoModel, HdfsError."""
        run = self._read(name) if RUN.fullmatch(name) else None
        if run is None or not run.of_pictures:
            raise NoModel(f"{name} is no run with a model of pictures; ./muster jobs lists the runs")
        return run

    def engine(self, run: Run) -> str:
        """Return which of a run's models can answer, '' = none. Raises HdfsError."""
        there = (name for name, (_, file) in FILES.items() if file in self.files(run, name))
        return next(there, "")

    def files(self, run: Run, engine: str) -> dict[str, int]:
        """Return name -> bytes of the files of one of a run's models. Raises HdfsError."""
        return self.hdfs.lengths(f"{RESULTS}/{run.name}/{FILES[engine][0]}") or {}

    def read(self, run: Run, engine: str, name: str) -> bytes:
        """Return one of those files. Raises HdfsError."""
        return self.hdfs.read(f"{RESULTS}/{run.name}/{FILES[engine][0]}/{name}") or b""

    def manifest(self, dataset: str) -> Manifest:
        """Return what is written about a data set, at any of its sizes: pictures are made alike at all.

        Raises:
            NoModel: it is not staged.
            HdfsError: HDFS does not answer.
        """
        home = sets.staged_home(dataset)
        for name in filter(sets.parse_set_name, self.hdfs.folders(home)):
            if text := self.hdfs.read(f"{home}/{name}/{sets.STAGED_MANIFEST}"):
                return Manifest.from_json(text)
        raise NoModel(f"The data set {dataset} is not in HDFS; ./muster up stages it")

    def _read(self, name: str) -> Run | None:
        if name not in self._known:
            text = self.hdfs.read(f"{RESULTS}/{name}/metrics.json")
            try:
                self._known[name] = Run(name, dict(json.loads(text or b"")))
            except (ValueError, TypeError):
                return None
        return self._known[name]
