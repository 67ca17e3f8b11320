"""The way to the queue of jobs, with an `ssh` that answers as it is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provision.core.errors import Unreachable
from provision.jobs.queue import Queue


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Queue("pond", tmp_path, "pond-master", tmp_path / "ssh_config")


def answer(folder: Path, script: str) -> None:
    program = folder / "ssh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_master_that_does_not_answer_in_time_is_unreachable(queue: Queue, tmp_path: Path) -> None:
    answer(tmp_path, "exec sleep 60")
    begin = time.monotonic()
    with pytest.raises(Unreachable, match=r"pond-master: no answer within 0.2 s. See ./muster status"):
        queue.ask("list", "--json", timeout_s=0.2)
    assert time.monotonic() - begin < 10


def test_an_answer_in_time_is_one(queue: Queue, tmp_path: Path) -> None:
    answer(tmp_path, """echo '[{"run": "train-1"}]'""")
    assert queue.ask("list", "--json", timeout_s=60) == [{"run": "train-1"}]
