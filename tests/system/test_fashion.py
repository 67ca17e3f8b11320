"""Fashion-MNIST on a real cluster: Debian's package becomes a set, and models reach what such models reach on it.

The literature (github.com/zalandoresearch/fashion-mnist, at 28x28) has small networks of convolutions at 91 to 93 %
after many epochs, linear models at 84 %.
"""

from __future__ import annotations

import json

import pytest

from provision.core.paths import PROJECT
from tests.system.runs import only_run

pytestmark = pytest.mark.long
HOUR = 3600


def test_a_network_learns_clothes(labs):
    node = {"cores": 2, "memory_gb": 4, "data_disk_gb": 20}
    lab = labs(nodes=1, groups={"master": node}, dataset={"source": "fashion-mnist"})
    lab.up(size=16)
    lab.playbook("main.yml", "-e", "IMAGE_SIZE=32").ok()
    words = ["sizes=16,32", "epochs=6", "batch=128", "augment=none"]
    run = lab.muster("submit", "cnn", *words, timeout=HOUR).ok()
    metrics = json.loads((PROJECT / "results" / only_run(run) / "metrics.json").read_text())
    assert (metrics["holdout_rows"], metrics["image_size"]) == (10_000, 32)
    assert 53_000 < metrics["train_rows"] < 55_000, "a tenth of 60,000 is asked, not learnt"
    assert all(each["rows"] == 1000 for each in metrics["classes"]), "the split that everybody uses"
    assert metrics["accuracy"] > 0.9
