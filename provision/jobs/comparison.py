"""Tracked runs, to compare: what MLflow on the master knows, also of clusters that are gone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provision.core.errors import MusterError, NotReady
from provision.core.spec import ClusterSpec
from provision.jobs.queue import Queue

HEADLINE = "accuracy"
SHAPE = ("code", "commit", "shape", "cluster", "on", "sender", "dataset", "size", "seconds", "cost")
"""Tags (`muster.…`) that two runs are compared by, besides parameters, metrics and packages."""
Run = Mapping[str, Any]


def require_tracking(spec: ClusterSpec) -> None:
    """Raise NotReady unless the config file switches tracking on."""
    if "tracking" not in spec.features:
        raise NotReady(
            where=spec.name, what="its runs are not tracked",
            remedy="Add `features: [tracking]` to its config file, then ./muster up",
        )  # fmt: skip


def tracked(queue: Queue, names: Sequence[str] = (), where: str = "") -> list[Run]:
    """Return runs, the newest first; see muster_node.queue.comparing. Raises MusterError."""
    words = [shlex.quote(word) for word in (*(["--where", where] if where else ()), *names)]
    answer = queue.ask("compare", *words)
    if not isinstance(answer, list) or not all(map(_is_sound, answer)):
        raise MusterError(
            where=queue.master, what="something else than its record of runs answers", remedy="Run main.yml"
        )
    return answer


def headline(run: Run) -> str:
    """Return the name of the metric that a run is judged by."""
    return str(run["tags"].get("muster.headline", HEADLINE))


def ranked(runs: Sequence[Run], metric: str) -> list[Run]:
    """Return runs by a metric, the largest first, `-metric` the smallest; those without it last."""
    name, sign = metric.removeprefix("-"), 1 if metric.startswith("-") else -1
    there = [run for run in runs if name in run["metrics"]]
    return [
        *sorted(there, key=lambda run: sign * run["metrics"][name]),
        *(run for run in runs if name not in run["metrics"]),
    ]


def telling(runs: Sequence[Run]) -> dict[str, str]:
    """Return, by run id, the parameters in which a run differs from others of its job, in words."""
    found = {}
    for run in runs:
        alike = [each["params"] for each in runs if _job(each) == _job(run)]
        own = {
            key: value
            for key, value in run["params"].items()
            if any(other.get(key) != value for other in alike)
        }
        found[run["id"]] = " ".join(f"{key}={value}" for key, value in sorted(own.items()))
    return found


def differences(one: Run, other: Run) -> Iterator[tuple[str, str, str, str]]:
    """Yield (kind, name, value, value) of everything in which two runs differ."""
    for kind, first, second in (
        ("parameter", one["params"], other["params"]),
        ("metric", one["metrics"], other["metrics"]),
        ("run", _shape(one), _shape(other)),
        ("package", _packages(one), _packages(other)),
    ):
        for name in sorted({*first, *second}):
            if first.get(name) != second.get(name):
                yield kind, name, _word(first.get(name)), _word(second.get(name))


def _job(run: Run) -> str:
    return str(run["tags"].get("muster.job", ""))


def _shape(run: Run) -> dict[str, str]:
    return {name: run["tags"][f"muster.{name}"] for name in SHAPE if f"muster.{name}" in run["tags"]}


def _packages(run: Run) -> dict[str, str]:
    found = run.get("record", {}).get("packages", {})
    return found if isinstance(found, dict) else {}


def _word(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _is_sound(run: object) -> bool:
    return (
        isinstance(run, dict)
        and all(isinstance(run.get(key), str) for key in ("run", "id", "status", "parent"))
        and all(isinstance(run.get(key), int | float) for key in ("started", "seconds"))
        and all(isinstance(run.get(key), dict) for key in ("params", "tags", "metrics"))
        and all(isinstance(value, int | float) for value in run["metrics"].values())
        and isinstance(run.get("record", {}), dict)
    )
