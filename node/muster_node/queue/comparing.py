"""Runs as people compare them: what MLflow knows, in few words, newest first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from muster_node.queue import tracked
from muster_node.queue.records import Refused
from muster_node.tracking.client import Server
from muster_node.tracking.settings import Settings, Untracked

WAIT_S = 60.0
"""How long a server that has just been started may take to answer."""
RECORD = "run.json"


def compare(names: Sequence[str], where: str = "") -> list[dict[str, Any]]:
    """Return runs, what has just ended included.

    Args:
        names: these alone, with their records; none = all.
        where: only those that MLflow's search finds by this, such as `metrics.accuracy > 0.9`.

    Raises:
        Refused: nothing is tracked here, the server does not answer, or there is no such run.
    """
    try:
        settings = Settings.load()
        if settings is None:
            raise Untracked(tracked.OFF)
        tracked.report(settings, wait_s=WAIT_S)
        server = Server(settings, timeout_s=60)
        experiments = {each["experiment_id"]: each["name"] for each in server.experiments()}
        found = [_short(run, experiments) for run in server.runs(where)]
        return [_whole(server, found, name) for name in names] if names else found
    except Untracked as error:
        raise Refused(str(error)) from error


def _short(run: Mapping[str, Any], experiments: Mapping[str, str]) -> dict[str, Any]:
    info, data = run["info"], run["data"]
    tags = {each["key"]: each["value"] for each in data.get("tags", ())}
    started, ended = info["start_time"] / 1000, info.get("end_time", 0) / 1000
    return {
        "run": info.get("run_name", ""),
        "id": info["run_id"],
        "experiment": experiments.get(info["experiment_id"], ""),
        "status": info["status"],
        "started": started,
        "seconds": max(ended - started, 0.0) if ended else 0.0,
        "parent": tags.get("mlflow.parentRunId", ""),
        "params": {each["key"]: each["value"] for each in data.get("params", ())},
        "metrics": {each["key"]: each["value"] for each in data.get("metrics", ())},
        "tags": {key: value for key, value in tags.items() if key.startswith("muster.")},
        "artifacts": info["artifact_uri"],
    }


def _whole(server: Server, found: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return a run with its record, {} where it has none."""
    known = [each for each in found if name in (each["run"], each["id"]) and not each["parent"]]
    if not known:
        raise Refused(f"MLflow knows no run {name}; see ./muster runs")
    try:
        record = json.loads(server.download(known[-1]["artifacts"], RECORD))
    except (Untracked, ValueError):
        record = {}
    return {**known[-1], "record": record}
