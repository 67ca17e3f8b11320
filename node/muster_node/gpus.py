"""`muster-gpus`: tells Spark's Worker which GPUs a node has, as a discovery script does: JSON on one line."""

from __future__ import annotations

import json
import subprocess
import sys

ASK = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")


def resource(said: str) -> str:
    """Return the line for what nvidia-smi says, a number a line. Raises ValueError: there is none."""
    numbers = [line.strip() for line in said.splitlines() if line.strip()]
    if not numbers or not all(number.isdecimal() for number in numbers):
        raise ValueError(f"nvidia-smi names no GPUs: {' '.join(said.split())[:200]!r}")
    return json.dumps({"name": "gpu", "addresses": numbers})


def main() -> int:
    """Print it."""
    try:
        done = subprocess.run(ASK, capture_output=True, text=True, check=False)
        print(resource(done.stdout if not done.returncode else ""))
    except (OSError, ValueError) as error:
        print(f"muster-gpus: {error}", file=sys.stderr)
        return 1
    return 0
