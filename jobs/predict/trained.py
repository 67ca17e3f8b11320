"""The models of earlier runs: only those that lie in the cluster's own /results are ever loaded."""

from __future__ import annotations

import atexit
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boosted
import classes
import estimators
import prepared
import scripted
from parameters import BEST, SKLEARN, SPARK, TORCH, XGBOOST
from publish import MODEL
from variant_names import NORMAL

from muster_node.sets import Manifest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RUN = re.compile(r"[a-z0-9_][\w-]*(/[a-z]+_[a-z]+)?", re.ASCII)
"""Of the job `grid` with the folder of one of its models: VARIANT_MODEL."""
RESULTS = "/results"
SHOWN = 5
"""Names of classes that a refusal tells."""
FOLDERS = {
    SPARK: MODEL,
    SKLEARN: estimators.FOLDER,
    XGBOOST: boosted.FOLDER,
    TORCH: scripted.FOLDER,
}
FILES = {
    SKLEARN: (estimators.MODEL, estimators.ABOUT),
    XGBOOST: (boosted.MODEL,),
    TORCH: (scripted.MODEL,),
}
"""Of the models that executors get as files."""


class BadChoice(ValueError):
    """There is no such model, or it cannot answer what it is asked; the text is one line."""


@dataclass(frozen=True)
class Trained:
    """A run's model. `engine`: whose it is; `metrics`: what the run wrote about it."""

    run: str
    engine: str
    metrics: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """Where it lies in HDFS."""
        return f"{RESULTS}/{self.run}/{FOLDERS[self.engine]}"

    @property
    def of_texts(self) -> bool:
        """Whether it takes texts, not pictures."""
        return "class_names" in self.metrics and "image_size" not in self.metrics

    @property
    def normalised(self) -> int:
        """Channels of pictures that are normalised before it is asked, 0 = none are: as it was trained."""
        if not self.metrics.get("normalise"):
            return 0
        return int(self.metrics["pixels"]) // int(self.metrics["image_size"]) ** 2

    @property
    def variant(self) -> str:
        """What its network is given of pictures, see `variants`."""
        return str(self.metrics.get("variant", NORMAL))

    @property
    def names(self) -> list[str]:
        """The names of its classes, by number."""
        return [str(name) for name in self.metrics["class_names"]]

    def require_fit(self, about: Manifest, dataset: str) -> None:
        """Raise BadChoice when a set's rows are not what the model was trained on."""
        if self.metrics.get("output") == "several":
            raise BadChoice(f"{self.run} gives an image several labels; predict knows models of one class")
        side, pixels = int(self.metrics["image_size"]), int(self.metrics["pixels"])
        if (about.size, about.columns - 1) != (side, pixels):
            raise BadChoice(
                f"{self.run} was trained on {pixels:,} values of a {side}x{side} picture; "
                f"{about.set} of {dataset} has {about.columns - 1:,} of {about.size}x{about.size}"
            )
        if about.classes and classes.names(about) != self.names:
            raise BadChoice(
                f"{self.run} knows {len(self.names)} classes ({', '.join(self.names[:SHOWN])}), and "
                f"{dataset} has others ({', '.join(classes.names(about)[:SHOWN])})"
            )


def run_of(model: str) -> str:
    """Return the run that the parameter `model` names: its id, or its folder. Raises BadChoice."""
    run = model.removeprefix("hdfs:").removeprefix(f"{RESULTS}/").rstrip("/")
    if not RUN.fullmatch(run):
        raise BadChoice(
            f"model={model}: say which run's, model=RUN (./muster jobs lists them); "
            f"only models below {RESULTS} are loaded"
        )
    return run


def find(spark: SparkSession, model: str, engine: str) -> Trained:
    """Return one of a run's models, the best one for the engine `best`. Raises BadChoice."""
    run = run_of(model)
    text = prepared.read_text(spark, f"{RESULTS}/{run}/metrics.json")
    try:
        metrics = dict(json.loads(text or ""))
    except (ValueError, TypeError) as error:
        raise BadChoice(
            f"there is no model of a run {run} in {RESULTS}: ./muster jobs lists the runs"
        ) from error
    engines = [name for name, place in FOLDERS.items() if prepared.exists(spark, f"{RESULTS}/{run}/{place}")]
    if not engines or not isinstance(metrics.get("class_names"), list):
        raise BadChoice(f"{run} ({metrics.get('job', 'a job')}) has saved no model that predict knows")
    if engine not in (BEST, *engines):
        raise BadChoice(f"{run} has no model of {engine}; it has one of {', '.join(engines)}")
    if engine == BEST:
        engine = metrics["best_engine"] if metrics.get("best_engine") in engines else engines[0]
    return Trained(run, engine, metrics)


def fetch(spark: SparkSession, trained: Trained) -> Path:
    """Return a folder of this computer with a copy of the model's files, there as long as this program."""
    folder = Path(tempfile.mkdtemp(prefix="model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in FILES[trained.engine]:
        source = prepared.hadoop_path(spark, f"{trained.folder}/{name}")
        target = prepared.hadoop_path(spark, f"file:{folder / name}")
        prepared.file_system(spark, source).copyToLocalFile(False, source, target, True)
    return folder


def load_spark_model(trained: Trained) -> Any:  # noqa: ANN401  one of Spark ML's models
    """Return a model of Spark ML, of a kind that the built-in jobs make. Raises BadChoice."""
    from pyspark.ml import classification

    kinds = {
        "logistic_regression": classification.LogisticRegressionModel,
        "random_forest": classification.RandomForestClassificationModel,
    }
    kind = kinds.get(str(trained.metrics.get("job")))
    if kind is None:
        raise BadChoice(f"{trained.run} is no run of {' or '.join(kinds)}: its model is not known here")
    return kind.load(trained.folder)
