"""What a job left, as the task says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.plugins.action.muster_job import outcome


def test_numbers_are_said_and_tables_are_not(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"accuracy": 0.9, "rows": [1, 2]}')
    assert outcome(tmp_path) == {"results": str(tmp_path), "metrics": {"accuracy": 0.9}}


@pytest.mark.parametrize("lie", ["", "7", "[1]", "[" * 100_000, "\udcff"])
def test_what_is_no_table_of_numbers_is_none(tmp_path: Path, lie: str) -> None:
    """A job has written it."""
    (tmp_path / "metrics.json").write_text(lie, errors="surrogateescape")
    assert outcome(tmp_path) == {"results": str(tmp_path)}
    (tmp_path / "metrics.json").unlink()
    (tmp_path / "metrics.json").mkdir()
    assert outcome(tmp_path) == {"results": str(tmp_path)}
