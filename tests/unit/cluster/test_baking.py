"""Baking: what its failures say, and where its seconds are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.cluster.baking import _builder, _builder_file, _reason
from provision.state.timeline import FILE, ConsoleReporter, Timeline, last_run

RECAP = ["", "PLAY RECAP ****", "image-1-master : ok=1 failed=1"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["TASK [x]", "[ERROR]: Task failed: no package a", "Origin: y", "fatal: [n]: FAILED! => "],
            "Task failed: no package a",
        ),
        (
            ["TASK [x]", "fatal: [image-1-master]: the script ended with status 3"],
            "the script ended with status 3",
        ),
    ],
)
def test_the_reason_of_a_failed_bake_is_what_failed_first(lines: list[str], said: str) -> None:
    assert _reason(lines + RECAP) == said


def test_what_a_bake_took_is_in_the_timeline_of_the_cluster_that_it_was_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path))
    reporter = ConsoleReporter(lambda _: None)
    with reporter.phase("base image"):
        pass
    builder = _builder(_builder_file(tmp_path / "image-1.yml", "image-1"), reporter)
    builder.state.make_folder()
    builder._record()
    with reporter.phase("bake"):
        pass
    reporter.record_in(Timeline(tmp_path / FILE))
    assert [phase["name"] for phase in last_run(tmp_path)] == ["base image", "bake"]
