"""Where results go."""

from __future__ import annotations

import json

import publish


def test_results_go_where_the_queue_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MUSTER_RESULTS", str(tmp_path / "a" / "results"))
    monkeypatch.setenv("MUSTER_HDFS_RESULTS", "/results/lr-1")
    publish.save_metrics({"accuracy": 0.5})
    assert json.loads((tmp_path / "a/results/metrics.json").read_text()) == {"accuracy": 0.5}
    assert publish.results_in_hdfs() == "/results/lr-1"
