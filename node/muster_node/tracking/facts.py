"""What a run of the queue is to MLflow: its tags, parameters and metrics. Pure, but for reading files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

from muster_node import files
from muster_node.tracking.settings import Settings

METRICS, PARAMETERS = "metrics.json", "parameters.json"
"""Results of a run that have a meaning here: its figures, and all its parameters, defaults included."""
MODELS = ("network", "boosted", "estimator", "model")
"""Folders of results that hold a model, also of the runs within a run; the first that is there counts."""
HEADLINE = "accuracy"
EXPERIMENT = "jobs"
"""Of runs that name no data set."""
MOST_BYTES = 16 << 20
"""Of metrics.json and the like."""
STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
LONGEST_NAME = 250
"""Characters of a metric's name, as MLflow takes them."""
Point = dict[str, object]
_NOT_IN_NAMES = re.compile(r"[^\w. /:-]", re.ASCII)


def tags(settings: Settings, record: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """Return what is known of a run when it begins.

    Args:
        settings: of the tracking server.
        record: the queue's answer about the run (records.describe).
        env: the run's environment, which names the data set.
    """
    known = {
        "run": record["run"],
        "job": record["name"],
        "kind": record["kind"],
        "dataset": env.get("MUSTER_DATASET", ""),
        "size": env.get("MUSTER_IMAGE_SIZE", ""),
        "cluster": settings.cluster,
        "cluster_id": settings.cluster_id,
        "submitter": record.get("submitter", ""),
        "sender": record.get("sender", ""),
        "code": record.get("code", ""),
        "commit": f"{record.get('commit', '')}{'-dirty' if record.get('dirty') else ''}",
        "on": record.get("on", ""),
        "shape": shape(record.get("machines") or ()),
    }
    found = {f"muster.{key}": str(value) for key, value in known.items() if value}
    return found | {"mlflow.runName": record["run"], "mlflow.user": record.get("sender") or "hadoop"}


def experiment(tags: Mapping[str, str]) -> str:
    """Return the name of a run's experiment: that of its data set."""
    return tags.get("muster.dataset") or EXPERIMENT


def shape(machines: Sequence[Mapping[str, Any]]) -> str:
    """Return what machines there are in words: `1 master (2 cores, 3 GB), 2 worker (2 cores, 2 GB)`."""
    kinds: dict[tuple[object, ...], int] = {}
    for each in machines:
        kind = (each.get("group"), each.get("cores"), each.get("memory_gb"), each.get("gpus", 0))
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(
        f"{count} {group} ({cores} cores, {memory:g} GB{f', {gpus} GPU' if gpus else ''})"
        for (group, cores, memory, gpus), count in kinds.items()
    )


def ending(record: Mapping[str, Any], results: Path) -> dict[str, str]:
    """Return the tags that a run has when it has ended."""
    found = {"muster.state": str(record["state"]), "muster.seconds": str(record["seconds"])}
    if record.get("cost") is not None:
        found["muster.cost"] = f"{record['cost']:.4f}"
    if record.get("reason"):
        found["mlflow.note.content"] = str(record["reason"])
    there = {path.name for pattern in ("*/", "*/*/") for path in results.glob(pattern)}
    model = next((name for name in MODELS if name in there), "")
    if model:
        found["muster.model"] = model
    told = read(results / METRICS)
    if told:
        found["muster.headline"] = str(told.get("headline", HEADLINE))
        for tag, key in (("muster.dataset", "dataset"), ("muster.size", "image_size")):
            if told.get(key):
                found[tag] = str(told[key])
    return found


def params(record: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, str]:
    """Return a run's parameters: those it was given, and all of them where it has `told` them."""
    given = dict(word.split("=", 1) for word in record.get("args", ()) if "=" in word)
    return given | {key: _word(value) for key, value in told.items()}


def figures(told: Mapping[str, Any], at: float) -> Iterator[Point]:
    """Yield the metrics of metrics.json: numbers, lists of numbers as values over steps, scores of classes.

    Args:
        told: what the file says.
        at: seconds since the epoch, when the run ended.
    """
    for key, value in _flat(told):
        if is_number(value):
            yield point(key, value, at)
        elif isinstance(value, list) and value and all(map(is_number, value)):
            name = key.removesuffix("es") if key.endswith("losses") else key
            yield from (point(name, each, at, step) for step, each in enumerate(value, 1))
        elif isinstance(value, list) and all(isinstance(each, dict) for each in value):
            for step, each in enumerate(value, 1):
                label = each.get("label")
                where = f"{key}.{label}." if label is not None else f"{key}."
                for name, number in each.items():
                    if is_number(number) and name != "label":
                        yield point(f"{where}{name}", number, at, 0 if label is not None else step)


def point(key: str, value: float, at: float, step: int = 0) -> Point:
    """Return one value of a metric as MLflow takes it; `at` is in seconds since the epoch."""
    name = _NOT_IN_NAMES.sub("_", key)[:LONGEST_NAME]
    return {"key": name, "value": value, "timestamp": int(at * 1000), "step": step}


def read(path: Path) -> dict[str, Any]:
    """Return a JSON object that a job has written, {} when there is none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(files.read_found(path, most_bytes=MOST_BYTES))
        return found if isinstance(found, dict) else {}
    return {}


def _flat(told: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in told.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def is_number(value: object) -> TypeGuard[float]:
    """Say whether MLflow can draw a value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
