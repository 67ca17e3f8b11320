"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster_node import files


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    files.write(path, "one", mode=0o600)
    files.write(path, "two", mode=0o640)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("two", 0o640)
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_what_cannot_be_given_away_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    files.write(path, "one")
    with pytest.raises(LookupError):
        files.write(path, "two", group="no-such-group")
    assert path.read_text() == "one"
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_progress_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    files.report("", "nowhere")
    files.report(str(tmp_path / "no" / "folder"), "nowhere")
    files.report(str(tmp_path / "line"), "half")
    assert (tmp_path / "line").read_text() == "half\n"
