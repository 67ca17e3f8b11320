"""A cluster of one node does all that a large one does."""

from __future__ import annotations

import json

import pytest

from provision.core.paths import PROJECT

pytestmark = pytest.mark.long


def test_one_node(labs, leftovers):
    lab = labs(nodes=1)
    with leftovers(lab):
        lab.up(16)
        assert lab.status()["services"]["datanodes"] == 1
        lab.muster("verify").ok()
        run = lab.playbook("submit.yml", "-e", "JOB=logistic_regression").ok()
        assert run.output
        metrics = [json.loads((PROJECT / "results" / name / "metrics.json").read_text()) for name in lab.runs]
        assert metrics[0]["accuracy"] >= 0.93
        assert lab.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok().changed == 0
        lab.destroy().ok()
