"""Figures of a run in MLflow while it goes on: what its program says of its progress, as `progress.NAME`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from muster_node.queue import progress
from muster_node.tracking import facts
from muster_node.tracking.client import Server
from muster_node.tracking.settings import Settings, Untracked

EVERY_S = 5.0
ANSWER_S = 3.0
"""How long the server may take; one that does not answer is asked no more for this run."""


class Live:
    """One run, and what was told of it.

    Args:
        environment: its program's, which names the run in MLflow, if there is one.
        home: its folder.
    """

    def __init__(self, environment: Mapping[str, str], home: Path) -> None:
        self._home = home
        self._run_id = environment.get("MLFLOW_RUN_ID", "")
        self._told = ""
        self._server: Server | None = None
        if self._run_id:
            keys = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
            url, user, password = (environment.get(key, "") for key in keys)
            self._server = Server(Settings(url, user, password, "", ""), ANSWER_S)

    @property
    def every_s(self) -> float | None:
        """How often to look, in seconds; None = there is nobody to tell."""
        return EVERY_S if self._server else None

    def look(self) -> None:
        """Tell MLflow what is new."""
        if self._server is None:
            return
        with suppress(OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
            line = progress.last(self._home)
            if line == self._told:
                return
            self._told = line
            said = json.loads(line)
            step, metrics = said["step"], said["metrics"]
            points = [
                facts.point(f"progress.{name}", value, time.time(), step)
                for name, value in metrics.items()
                if facts.is_number(value) and isinstance(step, int)
            ]
            try:
                self._server.log(self._run_id, metrics=points)
            except Untracked:
                self._server = None
