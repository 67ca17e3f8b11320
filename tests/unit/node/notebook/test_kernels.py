"""What of a notebook counts as use."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from muster_node.notebook import kernels

NOW = datetime.datetime(2026, 11, 29, 12, 0, 0, tzinfo=datetime.UTC)


def kernel(state: str, ago_s: float) -> dict[str, str]:
    last = (NOW - datetime.timedelta(seconds=ago_s)).isoformat().replace("+00:00", "Z")
    return {"id": "1", "execution_state": state, "last_activity": last}


@pytest.mark.parametrize(
    ("state", "ago_s", "used"), [("busy", 7200, True), ("idle", 30, True), ("idle", 90, False)]
)
def test_a_kernel_counts_while_it_computes_and_a_moment_longer(state: str, ago_s: float, used: bool) -> None:
    found = kernels.at_work({"kernels": [kernel(state, ago_s)], "terminals": []}, NOW, 60)
    assert found == (["a kernel of the notebook"] if used else [])


def test_a_terminal_in_which_something_is_printed_counts() -> None:
    terminal = {"name": "1", "last_activity": "2026-11-29T11:59:30.000000Z"}
    assert kernels.at_work({"kernels": [], "terminals": [terminal]}, NOW, 60) == [
        "a terminal of the notebook"
    ]


def test_where_there_is_no_server_nothing_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "FOLDER", tmp_path)
    assert kernels.used(60) == []
