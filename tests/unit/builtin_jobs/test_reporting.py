"""What jobs tell of how far they are is what the queue shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import reporting

from muster_node.queue import progress


def test_the_queue_shows_what_a_job_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reporting.report(1, 2, "epoch")  # nobody asks
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / progress.FILE))
    reporting.report(7, 15, "epoch", loss=0.12345678, accuracy=0.97)
    assert progress.read(tmp_path) == "epoch 7/15, loss 0.1235, accuracy 0.97"
    assert progress.told(tmp_path)["metrics"]["loss"] == 0.12345678
    assert reporting.heard(reporting.line(8, 15, "epoch"))
    assert not reporting.heard("epoch 8 of 15")
    assert progress.read(tmp_path) == "epoch 8/15"
    reporting.say("growing trees")
    assert (progress.read(tmp_path), capsys.readouterr().out) == ("growing trees", "growing trees\n")


def test_a_file_that_cannot_be_written_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "gone" / progress.FILE))
    reporting.report(1, 2, "epoch")
