"""Trials as runs of the cluster's queue: sent, looked at, cancelled."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muster_node.queue import progress, records

PROGRAM = "muster-job"
OF_THE_SET = ("MUSTER_DATASET", "MUSTER_IMAGE_SIZE")
"""Variables that say which prepared set a job reads."""


@dataclass(frozen=True)
class Seen:
    """How a run is. `lost`: it never came to an end of its own, so it may be tried again.

    `step` and `metrics` are what it last told of itself while it runs, else of its end.
    """

    state: str
    reason: str = ""
    lost: bool = False
    step: int = -1
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self.state in records.FINAL


def send(job: str, words: Mapping[str, str], *, on: str, cores: int, memory_gb: float) -> str:
    """Put a run of a built-in job into the queue; return its name. Raises SystemExit: it is refused."""
    run = records.new_run_id(job)
    request = {
        "run": run, "name": job, "kind": "builtin", "entry": "main.py",
        "args": [f"{name}={value}" for name, value in words.items()],
        "on": on, "cores": cores, "memory_mb": round(memory_gb * 1024),
        "parent": os.environ.get("MUSTER_RUN", ""), "submitter": "tune",
        "env": {name: os.environ[name] for name in OF_THE_SET if name in os.environ},
    }  # fmt: skip
    nothing = io.BytesIO()  # of the program: the queue has built-in jobs
    tarfile.open(fileobj=nothing, mode="w|").close()
    line = json.dumps(request).encode() + b"\n"
    done = subprocess.run(
        [PROGRAM, "submit"], input=line + nothing.getvalue(), capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr.decode(errors="replace").strip().removeprefix("muster-job: "))
    return run


def look(run: str) -> Seen:
    """Return how a run is."""
    try:
        record = records.load(run)
    except records.Refused as error:
        return Seen(records.FAILED, str(error), lost=True)
    home = records.folder(run)
    if record.state == records.SUCCEEDED:
        return Seen(record.state, metrics=_numbers(_json(home / "results" / "metrics.json")))
    if record.state in records.FINAL:
        lost = record.state == records.FAILED and record.exit_status is None
        return Seen(record.state, record.reason, lost)
    told = progress.told(home)
    step, metrics = told.get("step"), told.get("metrics")
    return Seen(record.state, step=step if isinstance(step, int) else -1, metrics=_numbers(metrics))


def cancel(run: str) -> None:
    """End a run; one that has ended already stays as it is."""
    subprocess.run([PROGRAM, "cancel", run], capture_output=True, check=False)


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _numbers(told: object) -> dict[str, float]:
    found = told if isinstance(told, dict) else {}
    return {
        str(name): float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
