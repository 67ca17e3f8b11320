"""Tracked runs side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.core.errors import MusterError, NotReady
from provision.jobs import comparison
from provision.jobs.queue import Queue
from tests.fakes.provider import spec


def run(name: str, **changed: Any) -> dict[str, Any]:
    """A run as the master tells of it."""
    known = {"run": name, "id": name, "status": "FINISHED", "parent": "", "started": 1.0, "seconds": 2.0}
    return {**known, "params": {}, "metrics": {}, "tags": {"muster.job": "cnn"}, "artifacts": "", **changed}


def test_the_largest_come_first_or_the_smallest_and_those_without_last() -> None:
    runs = [run("a", metrics={"loss": 1.0}), run("b"), run("c", metrics={"loss": 3.0})]
    assert [each["run"] for each in comparison.ranked(runs, "loss")] == ["c", "a", "b"]
    assert [each["run"] for each in comparison.ranked(runs, "-loss")] == ["a", "c", "b"]


def test_parameters_are_shown_in_which_runs_of_a_job_differ() -> None:
    runs = [
        run("a", params={"epochs": "3", "seed": "1"}),
        run("b", params={"epochs": "9", "seed": "1"}),
        run("c", params={"trees": "5"}, tags={"muster.job": "random_forest"}),
    ]
    assert comparison.telling(runs) == {"a": "epochs=3", "b": "epochs=9", "c": ""}


def test_two_runs_differ_in_parameters_figures_code_machines_and_packages() -> None:
    one = run(
        "a", params={"epochs": "3"}, metrics={"accuracy": 0.9876543}, record={"packages": {"numpy": "2.2.4"}}
    )
    other = run(
        "b", params={"epochs": "9"}, metrics={"accuracy": 0.5}, record={"packages": {"numpy": "2.3.0"}}
    )
    one["tags"] |= {"muster.code": "aaa", "muster.shape": "1 master"}
    other["tags"] |= {"muster.code": "bbb", "muster.shape": "1 master"}
    assert list(comparison.differences(one, other)) == [
        ("parameter", "epochs", "3", "9"),
        ("metric", "accuracy", "0.987654", "0.5"),
        ("run", "code", "aaa", "bbb"),
        ("package", "numpy", "2.2.4", "2.3.0"),
    ]


def test_a_run_without_a_record_has_no_packages() -> None:
    assert list(comparison.differences(run("a"), run("b", record={"packages": None}))) == []


def test_what_switches_tracking_on_is_said() -> None:
    with pytest.raises(NotReady, match=r"features: \[tracking\]"):
        comparison.require_tracking(spec())


@pytest.mark.parametrize(
    "answer", [None, {}, [1], [run("a") | {"metrics": {"x": "much"}}], [run("a") | {"tags": 1}]]
)
def test_an_answer_that_is_none_is_not_believed(
    answer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue("pond", tmp_path, "pond-master", tmp_path / "ssh_config")
    monkeypatch.setattr(Queue, "ask", lambda *_: json.loads(json.dumps(answer)))
    with pytest.raises(MusterError, match="answers"):
        comparison.tracked(queue)
