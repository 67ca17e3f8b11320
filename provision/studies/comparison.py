"""What experiments came to: one table, the best first."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from provision.core import files
from provision.core.text import money, table
from provision.studies.diary import Page, Result
from provision.studies.experiments import Experiment, Experiments

HEADLINES = ("kappa", "accuracy")
"""Metrics by which runs are sorted, most telling first, where all that succeeded have one."""
Row = tuple[Experiment, Result]


def rows(wanted: Experiments, page: Page) -> list[Row]:
    """Return the experiments that have ended: succeeded ones first, the best of them at the top."""
    found = [(one, page.results[key]) for one in wanted.every if (key := wanted.key(one)) in page.results]
    headline = _headline(found)
    return sorted(found, key=lambda row: (row[1].state != "succeeded", -row[1].metrics.get(headline, 0.0)))


def as_text(found: Sequence[Row]) -> str:
    """Return the table for the terminal: parameters that differ, headline metrics, time and cost."""
    names, metrics = _parameters(found), _metrics(found)
    header = [*names, *metrics, "seconds", "cost", "machine", "run"]
    return table(
        [name.upper() for name in header],
        [
            (
                *(one.own.get(name, "") for name in names),
                *(f"{result.metrics[name]:.4g}" if name in result.metrics else "" for name in metrics),
                f"{result.seconds:.0f}", money(result.cost), result.node,
                " ".join([result.run, *([str(result)] if result.state != "succeeded" else [])]),
            )
            for one, result in found
        ],
    )  # fmt: skip


def write(found: Sequence[Row], folder: Path) -> Path:
    """Write all numbers to table.csv; return where."""
    names = _parameters(found)
    metrics = sorted({name for _, result in found for name in result.metrics})
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*names, "state", *metrics, "run_seconds", "cost", "machine", "run", "reason"])
    for one, result in found:
        writer.writerow(
            [
                *(one.own.get(name, "") for name in names), result.state,
                *(result.metrics.get(name, "") for name in metrics),
                result.seconds, "" if result.cost is None else result.cost,
                result.node, result.run, result.reason,
            ]
        )  # fmt: skip
    place = folder / "table.csv"
    files.write(place, stream.getvalue())
    return place


def _headline(found: Sequence[Row]) -> str:
    good = [result for _, result in found if result.state == "succeeded"]
    return next((name for name in HEADLINES if good and all(name in one.metrics for one in good)), "")


def _parameters(found: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for one, _ in found for name in one.own))


def _metrics(found: Sequence[Row]) -> list[str]:
    headline = _headline(found)
    return (
        [headline, *(name for name in HEADLINES if name != headline and _some(found, name))]
        if headline
        else []
    )


def _some(found: Sequence[Row], name: str) -> bool:
    return any(name in result.metrics for _, result in found)
