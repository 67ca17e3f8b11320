"""How far a run is, whatever its program writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster_node.queue import progress


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("half of it\n", "half of it"),
        ("one\n\ntwo\n", "two"),
        ('{"step": 3, "of": 9, "unit": "round", "metrics": {"f1": 0.5}}', "round 3/9, f1 0.5"),
        ('{"step": 3}', "step 3"),
        ("[1, 2]", "[1, 2]"),
        ("", ""),
        ("\x1b[2Jred\x07", "[2Jred"),
        ("x" * 500, "x" * 99 + "…"),
        ("x" * 5000, ""),
        ("[" * 3000, "[" * 99 + "…"),
    ],
)
def test_what_is_shown(tmp_path: Path, written: str, shown: str) -> None:
    (tmp_path / progress.FILE).write_text(written)
    assert progress.read(tmp_path) == shown


def test_nothing_but_a_file_is_read(tmp_path: Path) -> None:
    assert progress.read(tmp_path) == ""
    (tmp_path / progress.FILE).symlink_to("/etc/hostname")
    assert progress.read(tmp_path) == ""


def test_another_machine_passes_it_on(tmp_path: Path) -> None:
    assert progress.passed_on(b"progress half\n", tmp_path)
    assert not progress.passed_on(b"muster-job: no\n", tmp_path)
    assert progress.read(tmp_path) == "half"
