"""The proof of Spark: a task on every Worker, each in the Python of jobs; and of a set's settings."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from muster_node.daemons import SparkState, Worker
from muster_node.proofs import cluster, programs, staged
from muster_node.proofs.checks import checks
from muster_node.proofs.plan import Plan, Share
from muster_node.sets import Manifest
from provision.core.paths import PROJECT

WORKERS = tuple(Worker(f"w-{number}", 2, 0, 2000) for number in (1, 2))
RIGHT = sum(number * number for number in range(200))


@pytest.mark.parametrize(
    ("answer", "proved", "said"),
    [
        ({"hosts": ["w-1", "w-2"], "others": {}, "sum": RIGHT}, True, "tasks on 2 of 2 Workers"),
        ({"hosts": ["w-1"], "others": {}, "sum": RIGHT}, False, "tasks on 1 of 2 Workers"),
        (
            {"hosts": ["w-1", "w-2"], "others": {"w-2": "/usr/bin/python3"}, "sum": RIGHT},
            False,
            f"tasks on 2 of 2 Workers, w-2 computes with /usr/bin/python3 instead of {programs.PYTHON}",
        ),
    ],
)
def test_every_worker_computes_with_the_python_of_jobs(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], proved: bool, said: str
) -> None:
    given: dict[str, str] = {}

    def run(program: str, count: str, *, environment: dict[str, str]) -> str:
        given.update(environment)
        return json.dumps(answer)

    monkeypatch.setattr(cluster, "run", run)
    monkeypatch.setattr(cluster.daemons, "spark", lambda _: SparkState(WORKERS, ()))
    assert cluster.spark(Plan(environment={"PYSPARK_PYTHON": "x"})) == (proved, said)
    assert given["PYSPARK_PYTHON"] == "x"


def test_what_is_proved_with_is_what_jobs_have() -> None:
    known = yaml.safe_load((PROJECT / "group_vars/cluster.yml").read_text())
    assert known["verify_environment"] == "{{ jobs_environment }}"
    assert known["jobs_environment"]["PYSPARK_PYTHON"] == known["jobs_python"] == "{{ spark_python }}"
    assert known["spark_python"] == programs.PYTHON


def test_settings_of_the_staged_set_are_those_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Manifest("eyes", "train_16", rows=1, made_by={"kind": "eye", "sample": 1.0})
    files = {"/datasets/eyes/train_16/_manifest.json": made.to_json().encode()}
    monkeypatch.setattr(staged, "Hdfs", lambda url: SimpleNamespace(read=files.get))

    def proved(size: int, **asked: Any) -> tuple[bool, str]:
        return staged.settings(Share("eyes", settings=asked, settings_size=size), "http://x")

    assert proved(16, kind="", sample=1.0) == (True, "as in the config file")
    assert proved(32, sample=0.5) == (True, "nothing is staged at 32 pixels")
    well, said = proved(16, kind="plain")
    assert not well and "(kind: eye then, plain now)" in said


def test_the_master_alone_compares_settings() -> None:
    share = {"name": "eyes", "settings": {"kind": ""}}
    proofs = [[each.name for each in checks(Plan.parse({"dataset": dict(share), "master": master}))]
              for master in (True, False)]  # fmt: skip
    assert "Settings" in proofs[0] and "Settings" not in proofs[1]
