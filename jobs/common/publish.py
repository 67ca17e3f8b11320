"""Where a job's results go: its folder, which the queue copies to HDFS, and HDFS itself for models."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prepared import file_system, hadoop_path

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HERE = "results"
MODEL = "model"


def results_folder() -> Path:
    """Return the folder of this run's results ($MUSTER_RESULTS, by hand `results`); it exists then."""
    folder = Path(os.environ.get("MUSTER_RESULTS", HERE)).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def results_in_hdfs() -> str:
    """Return the folder in HDFS of this run's results ($MUSTER_HDFS_RESULTS, by hand `results` at home)."""
    return os.environ.get("MUSTER_HDFS_RESULTS", HERE)


def save_metrics(metrics: Mapping[str, Any]) -> None:
    """Write metrics.json, whose plain values `submit.yml` shows."""
    (results_folder() / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")


def save_model(spark: SparkSession, model: Any) -> None:  # noqa: ANN401  any of Spark ML's models
    """Write a model of Spark ML to HDFS, and a copy of it into the run's folder, as `model`."""
    target = f"{results_in_hdfs()}/{MODEL}"
    model.write().overwrite().save(target)
    here = results_folder()
    shutil.rmtree(here / MODEL, ignore_errors=True)
    source = hadoop_path(spark, target)
    file_system(spark, source).copyToLocalFile(False, source, hadoop_path(spark, f"file:{here}"), True)
