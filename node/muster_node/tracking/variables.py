"""What a run's program finds of the tracking server, so that `import mlflow` is all that it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from muster_node.tracking import facts
from muster_node.tracking.settings import Settings

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # an address of the cluster's own network
    "GIT_PYTHON_REFRESH": "quiet",
}
FOLDER = "mlruns"
"""Of a run's results, where MLflow writes when the server was down as the run began."""


def apart(results: Path) -> dict[str, str]:
    """Return the variables of a program that cannot reach the server: MLflow writes into its results."""
    return {
        "MLFLOW_TRACKING_URI": (results / FOLDER).as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        **_QUIET,
    }


def environ(settings: Settings, tags: Mapping[str, str], run_id: str = "") -> dict[str, str]:
    """Return a program's variables.

    Args:
        settings: of the server.
        tags: of the run, which each run of MLflow has that the program begins; they are found by them.
        run_id: of the run in MLflow, where there is one already. A program that begins its own may also
            choose its own experiment.
    """
    return {
        "MLFLOW_TRACKING_URI": settings.url,
        "MLFLOW_TRACKING_USERNAME": settings.user,
        "MLFLOW_TRACKING_PASSWORD": settings.password,
        "MLFLOW_EXPERIMENT_NAME": facts.experiment(tags),
        **({"MLFLOW_RUN_ID": run_id} if run_id else {}),
        "MLFLOW_RUN_CONTEXT": json.dumps(dict(tags)),
        # A server that is gone: some seconds, then MLflow's own error.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        **_QUIET,
    }
