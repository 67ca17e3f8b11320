"""Makes the program that runs on the master importable: roles/jobs/files/muster_job."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "roles" / "jobs" / "files"))

from muster_job import cli, queue, reason, records, results, runner

__all__ = ["cli", "queue", "reason", "records", "results", "runner"]
