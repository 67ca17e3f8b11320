"""Programs of the proofs, run by the Python of jobs: spark_application and torch_step."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

PYTHON = "/opt/muster/venv/bin/python"
DEADLINE_S = 150
MARK = "MUSTER "
"""Begins the line of a program's output that is its answer."""


def run(program: str, *arguments: str, environment: Mapping[str, str]) -> str:
    """Run a program of this package and return its answer. Raises RuntimeError, TimeoutExpired."""
    done = subprocess.run(
        [PYTHON, "-m", f"muster_node.proofs.{program}", *arguments],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    answer = next((line.removeprefix(MARK) for line in lines if line.startswith(MARK)), "")
    if done.returncode or not answer:
        raise RuntimeError(lines[-1] if lines else f"exit status {done.returncode}")
    return answer
