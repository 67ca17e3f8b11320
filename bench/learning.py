"""How fast networks are fed and learn on a cluster that is up: see README.md."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TARGET = 0.9
"""Share of the rate from memory that reading has to reach."""
EPOCHS = 4


def submitted(inventory: str, *words: str) -> dict[str, Any]:
    """Submit a job; return its metrics."""
    command = [str(ROOT / "muster"), "-i", inventory, "submit", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    (run,) = re.findall(r"^Submitted (\S+)$", done.stderr, re.MULTILINE)
    metrics: dict[str, Any] = json.loads((ROOT / "results" / run / "metrics.json").read_text())
    return metrics


def main() -> None:
    """Print the rates, and the seconds of an epoch on one node and on two; status 1: reading is too slow."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("-i", dest="inventory", required=True, help="config file of the cluster")
    parser.add_argument("--nodes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("words", nargs="*", help="parameters of cnn, as network=resnet18 size=64")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "pipeline"
        command = [str(ROOT / "muster"), "submit", "--example", "cnn", str(folder)]
        subprocess.run(command, check=True, capture_output=True)
        shutil.copy(Path(__file__).with_name("pipeline.py"), folder / "main.py")
        found = submitted(asked.inventory, f"{folder}/", "--", *asked.words)
    print(f"from memory {found['memory']:,.0f} samples/s, read {found['read']:,.0f}: {found['share']:.1%}")
    for nodes in asked.nodes:
        metrics = submitted(asked.inventory, "cnn", f"nodes={nodes}", f"epochs={EPOCHS}", *asked.words)
        print(f"{metrics['nodes']} nodes: {metrics['train_seconds'] / metrics['epochs']:.2f} s an epoch")
    if found["share"] < TARGET:
        sys.exit(f"target {TARGET:.0%} missed")


if __name__ == "__main__":
    main()
