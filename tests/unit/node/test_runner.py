"""The steps of a run, in its own process: what leads where."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from muster_node.queue import environment, records, runner, verdict
from muster_node.queue.records import Record

RUN = "train-20261122-050001-0001"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "runs" / RUN
    (home / "code").mkdir(parents=True)
    settings = {"python": sys.executable, "python_path": [], "env": {}, "copies": 1, "namenode_url": ""}
    (tmp_path / "jobs.json").write_text(json.dumps(settings))
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setattr(records, "SETTINGS", tmp_path / "jobs.json")
    monkeypatch.setattr(runner, "LEFTOVERS_S", 0.0)
    return home


def steps(home: Path, entry: str, monkeypatch: pytest.MonkeyPatch) -> tuple[runner.Runner, list[str]]:
    """Run a shell line; return the runner and the steps that it took."""
    record = Record(run=RUN, name="train", kind="shell", entry=entry)
    log = (home / "log").open("wb", buffering=0)
    one, taken = runner.Runner(record, log), []
    for step in runner.Step:
        if step is not runner.Step.DONE:
            name = f"_{step.name.lower()}"
            real = getattr(one, name)
            monkeypatch.setattr(one, name, lambda real=real, name=name: (taken.append(name[1:]), real())[1])
    with log:
        one.run()
    return one, taken


def test_a_run_takes_every_step(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, taken = steps(home, "exit 3", monkeypatch)
    assert taken == ["prepare", "start", "wait", "leftovers", "note", "publish"]
    assert one.ended == verdict.Exit.read(home) == verdict.Exit(3)


def test_what_cannot_begin_is_noted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "command", lambda *_: ["/no/such/program"])
    one, taken = steps(home, "true", monkeypatch)
    assert taken == ["prepare", "start", "note", "publish"]
    assert one.ended == verdict.Exit(1)
    assert "No such file" in (home / "log").read_text()


def test_a_cancelled_run_publishes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, taken = steps(home, f"touch {home / verdict.CANCEL}", monkeypatch)
    assert taken[-1] == "note"


def test_a_checkpoint_that_is_asked_for_while_packages_come_begins_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(*_: object) -> dict[str, str]:
        (home / verdict.CHECKPOINT).touch()
        return {}

    monkeypatch.setattr(environment, "environ", install)
    one, taken = steps(home, f"touch {home / 'began'}", monkeypatch)
    assert taken == ["prepare", "start", "note", "publish"]
    assert not (home / "began").exists()
    assert verdict.judge(home, one.ended, "exit-code") == ("failed", verdict.TIME_OVER)


def test_a_checkpoint_reaches_the_program(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record(run=RUN, name="train", kind="shell", entry="true")
    one = runner.Runner(record, io.BytesIO())
    ended = []
    one._program = type("Program", (), {"terminate": lambda _: ended.append(True)})()  # type: ignore[assignment]
    one.request_checkpoint()
    assert ended == [True]
    assert (home / verdict.CHECKPOINT).exists()
