"""The proof that machines at other providers take runs: asked as the queue asks, by an `ssh` that stands for the way."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from muster_node.proofs import elsewhere
from muster_node.proofs.plan import make
from muster_node.queue import records

SSH = """#!/bin/sh
case "$*" in
  *"-i /etc/muster/queue_key "*"hadoop@198.51.100.5 follow verify-"*"--no-wait") echo "muster-job: there is no run" >&2; exit 2 ;;
  *hadoop@198.51.100.6*) echo "hadoop@198.51.100.6: Permission denied (publickey)." >&2; exit 255 ;;
  *) exit 1 ;;
esac
"""
MACHINES = [
    {"name": "m", "address": "10.0.0.1"},
    {"name": "g-1", "address": "198.51.100.5", "near": False},
    {"name": "g-2", "address": "198.51.100.6", "near": False},
    {"name": "h-1", "address": "", "near": False, "closed": "it has no public address"},
]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = tmp_path / "jobs.json"
    settings.write_text(json.dumps({"name": "m", "machines": MACHINES}))
    monkeypatch.setattr(records, "SETTINGS", settings)
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return settings


def test_machines_elsewhere_are_asked_with_the_queues_key(queue: Path) -> None:
    there = elsewhere.machines()
    assert [one.name for one in there] == ["g-1", "g-2"]
    assert elsewhere.reached(there[:1]) == (True, "1 of 1 machines")
    answer = make(elsewhere.check(there))
    assert (answer.ok, answer.found) == (
        False,
        "1 of 2 machines; g-2: hadoop@198.51.100.6: Permission denied (publickey).",
    )
    assert answer.remedy.startswith("Run start_cluster.yml")


def test_where_all_machines_are_near_nothing_is_to_be_proved(queue: Path) -> None:
    queue.write_text(json.dumps({"name": "m", "machines": MACHINES[:1]}))
    assert elsewhere.machines() == []
    queue.unlink()
    assert elsewhere.machines() == [], "before main.yml"
