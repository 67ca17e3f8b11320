from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from provision.core import progress
from provision.core.errors import MusterError
from provision.state.timeline import FILE, ConsoleReporter, Phase, Timeline, last_run, this_run


def test_phases_are_kept_until_the_folder_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    reporter = ConsoleReporter(lambda _: None)
    with reporter.phase("image", "base"):
        pass
    folder.mkdir()
    reporter.record_in(Timeline(folder / FILE))
    with pytest.raises(MusterError), reporter.phase("create"):
        raise MusterError(what="no")
    assert [(p["name"], p["detail"], p["ok"]) for p in last_run(folder)] == [
        ("image", "base", True),
        ("create", "", False),
    ]
    assert last_run(folder)[0]["run"] == this_run()[0]


def test_last_run_only(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path / FILE)
    for run, name, begin in (("1", "old", 1.0), ("2", "later", 9.0), ("2", "sooner", 8.0)):
        timeline.add(Phase(run, "up", name, begin, 0.5))
    with timeline.path.open("a") as stream:
        stream.write('{"cut sh')
    assert [phase["name"] for phase in last_run(tmp_path)] == ["sooner", "later"]
    assert json.dumps(last_run(tmp_path))


def test_without_a_folder_nothing_is_recorded(tmp_path: Path) -> None:
    Timeline(tmp_path / "gone" / FILE).add(Phase("1", "down", "destroy", 1.0, 0.5))
    assert last_run(tmp_path / "gone") == []


def test_what_lasts_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_S", 0.01)
    lines: list[str] = []
    shown = threading.Event()
    reporter = ConsoleReporter(lambda line: (lines.append(line), shown.set()))
    with reporter.phase("connect", "waiting for SSH"):
        assert shown.wait(5)
    assert lines[0] == "connect: waiting for SSH … 0 s"
    assert lines[-1].startswith("connect: waiting for SSH: done after 0.")


def test_what_two_threads_wait_for_is_shown_and_recorded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nodes' image and the store's lie on one base image, and both are made at the same time."""
    monkeypatch.setattr(progress, "QUIET_S", 0.01)
    lines: list[str] = []
    shown = threading.Event()
    reporter = ConsoleReporter(lambda line: (lines.append(line), shown.set()))
    reporter.record_in(Timeline(tmp_path / FILE))
    both = threading.Barrier(2)

    def bake() -> None:
        with reporter.phase("base image", "once for all"):
            both.wait(5)
            assert shown.wait(5)
            both.wait(5)

    threads = [threading.Thread(target=bake) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line.partition(" … ")[0].partition(": done")[0] for line in lines] == [
        "base image: once for all"
    ] * 2
    assert [(phase["name"], phase["ok"]) for phase in last_run(tmp_path)] == [("base image", True)]
