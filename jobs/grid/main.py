"""A first look at a set: each model learns each variant of its pixels, and one table compares them.

Runs the jobs `cnn` and `boosting` one after another; what each of them leaves lies in a folder of its own,
VARIANT_MODEL, which `predict` knows as model=RUN/VARIANT_MODEL.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import picture
from options import given
from parameters import MODELS, VARIANTS, Parameters
from publish import results_folder, results_in_hdfs, save_metrics

from muster_node.queue import records

FAILED = "failed"
Accuracies = Mapping[str, Mapping[str, float | None]]
"""By variant and model; None: it has failed."""


@dataclass(frozen=True)
class Cell:
    """One variant with one model."""

    variant: str
    model: str

    @property
    def folder(self) -> str:
        """Where its results are, below the run's."""
        return f"{self.variant}_{self.model}"

    def command(self, asked: Parameters, jobs: Path) -> list[str]:
        """Return the command line that trains it; `jobs`: the folder of the built-in jobs."""
        job, *own = MODELS[self.model]
        length = f"rounds={asked.rounds}" if job == "boosting" else f"epochs={asked.epochs}"
        words = (f"dataset={asked.dataset}", f"size={asked.size}", f"seed={asked.seed}")
        return [sys.executable, str(jobs / job / "main.py"), *own, f"variant={self.variant}", length, *words]


def chosen(name: str, text: str, known: Mapping[str, Any]) -> list[str]:
    """Return the names of a parameter such as raw,scaled. Ends the job with a line: one is not known."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise SystemExit(f"{name}={text}: {word!r} is none of {', '.join(known)}")
    return list(dict.fromkeys(words))


def tried(cell: Cell, asked: Parameters, jobs: Path) -> float | None:
    """Train one; return its accuracy, None when it has failed."""
    folder = results_folder() / cell.folder
    paths = [str(jobs / records.SHARED), os.environ.get("PYTHONPATH", "")]
    own = {
        "MUSTER_RESULTS": str(folder),
        "MUSTER_HDFS_RESULTS": f"{results_in_hdfs()}/{cell.folder}",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    done = subprocess.run(cell.command(asked, jobs), env={**os.environ, **own}, check=False)
    if done.returncode:
        return None
    return float(json.loads((folder / "metrics.json").read_text())["accuracy"])


def table(found: Accuracies) -> str:
    """Return the accuracies, a line for each variant."""
    models = list(next(iter(found.values())))
    width = max(map(len, VARIANTS.values()))
    lines = [" ".join([" " * width, *(f"{model:>9}" for model in models)])]
    for variant, row in found.items():
        cells = (FAILED if row[model] is None else f"{row[model]:.2%}" for model in models)
        lines.append(" ".join([f"{VARIANTS[variant]:<{width}}", *(f"{cell:>9}" for cell in cells)]))
    return "\n".join(lines)


def compare(cells: Sequence[Cell], asked: Parameters, jobs: Path) -> dict[str, Any]:
    """Train all; return the metrics."""
    begun = time.monotonic()
    found: dict[str, dict[str, float | None]] = {cell.variant: {} for cell in cells}
    seconds: dict[str, float] = {}
    for number, cell in enumerate(cells, start=1):
        print(f"[{number}/{len(cells)}] pixels {VARIANTS[cell.variant]}, {cell.model}", flush=True)
        start = time.monotonic()
        found[cell.variant][cell.model] = tried(cell, asked, jobs)
        seconds[cell.folder] = round(time.monotonic() - start, 2)
    right = {cell: known for cell in cells if (known := found[cell.variant][cell.model]) is not None}
    best = max(right, key=lambda cell: right[cell], default=None)
    return {
        "job": "grid",
        "dataset": asked.dataset,
        "image_size": asked.size,
        "accuracy": right[best] if best else None,
        "best": best.folder if best else None,
        "seconds": round(time.monotonic() - begun, 2),
        "accuracies": found,
        "seconds_of_each": seconds,
    }


def main() -> None:
    """Train all, draw and print the table. Fails when one of them does."""
    asked = given(Parameters)
    if records.guest():
        raise SystemExit("grid runs on the master, where the other jobs are: leave --on out")
    jobs = Path(str(records.settings()["jobs"]))
    pairs = itertools.product(
        chosen("variants", asked.variants, VARIANTS), chosen("models", asked.models, MODELS)
    )
    metrics = compare([Cell(*pair) for pair in pairs], asked, jobs)
    save_metrics(metrics)
    found: Accuracies = metrics["accuracies"]
    picture.draw_table(
        [[row[model] for model in row] for row in found.values()],
        down=[VARIANTS[variant] for variant in found],
        across=list(next(iter(found.values()))),
        title=f"{asked.dataset}, {asked.size}x{asked.size}: accuracy on held-out images",
        path=results_folder() / "grid.png",
    )
    print(table(found), flush=True)
    cells = [Cell(variant, model) for variant, row in found.items() for model in row]
    if failed := [cell.folder for cell in cells if found[cell.variant][cell.model] is None]:
        raise SystemExit(f"{', '.join(failed)} failed; the reason is above, where each of them ends")
    best = metrics["best"]
    told = f"best: {best} with {metrics['accuracy']:.2%} ({metrics['seconds']:.0f} s in all)"
    print(f"{told}; predict knows it as model={os.environ.get('MUSTER_RUN', 'RUN')}/{best}", flush=True)


if __name__ == "__main__":
    main()
