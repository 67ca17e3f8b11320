"""jobs/grid: which runs it makes, and the table that they come to."""

from __future__ import annotations

import importlib
import json
import sys
from types import ModuleType

import pytest

from provision.core.paths import PROJECT

JOB = PROJECT / "jobs" / "grid"
TRAINS = """
import json, os, pathlib, sys
words = dict(word.split("=") for word in sys.argv[1:])
if words["variant"] == "scaled" and words.get("network") == "mlp":
    sys.exit("it does not fit")
folder = pathlib.Path(os.environ["MUSTER_RESULTS"])
folder.mkdir(parents=True)
told = {"accuracy": 0.9 + 0.01 * (words["variant"] == "varying"), "words": words, "job": __file__}
(folder / "metrics.json").write_text(json.dumps(told | {"hdfs": os.environ["MUSTER_HDFS_RESULTS"]}))
"""


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(JOB))
    for path in JOB.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return importlib.import_module("main")


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Stand-ins for the jobs that train: they tell what they were asked."""
    for name in ("cnn", "boosting"):
        (tmp_path / "jobs" / name).mkdir(parents=True)
        (tmp_path / "jobs" / name / "main.py").write_text(TRAINS)
    monkeypatch.setenv("MUSTER_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("MUSTER_HDFS_RESULTS", "/results/grid-1")
    return tmp_path / "jobs"


def test_every_model_learns_every_variant(job, jobs, tmp_path):
    asked = job.Parameters(size=16, dataset="digits", epochs=3, rounds=7)
    cells = [job.Cell(variant, model) for variant in job.VARIANTS for model in job.MODELS]
    assert len(cells) == 12
    metrics = job.compare(cells, asked, jobs)
    assert metrics["accuracies"]["raw"] == dict.fromkeys(job.MODELS, 0.9)
    assert metrics["accuracies"]["scaled"] == {"cnn": 0.9, "resnet": 0.9, "mlp": None, "boosting": 0.9}
    assert metrics["best"].startswith("varying_") and metrics["accuracy"] == pytest.approx(0.91)
    told = json.loads((tmp_path / "results" / "varying_resnet" / "metrics.json").read_text())
    assert told["words"] == {
        "network": "resnet18", "variant": "varying", "epochs": "3", "dataset": "digits", "size": "16",
        "seed": "2016",
    }  # fmt: skip
    assert told["hdfs"] == "/results/grid-1/varying_resnet"
    told = json.loads((tmp_path / "results" / "raw_boosting" / "metrics.json").read_text())
    assert told["words"]["rounds"] == "7" and told["job"].endswith("boosting/main.py")
    text = job.table(metrics["accuracies"]).splitlines()
    assert len(text) == 4 and text[0].split() == list(job.MODELS)
    assert text[3].split() == ["scaled", "0-1", "90.00%", "90.00%", "failed", "90.00%"]


def test_its_parameters_are_those_that_the_jobs_know(job, monkeypatch):
    """Asked in the jobs' own programs: what they do not know would fail only after minutes."""
    provision = importlib.import_module("provision.jobs.builtin")
    asked = job.Parameters(size=16, dataset="digits")
    for variant in job.VARIANTS:
        for model, (name, *_) in job.MODELS.items():
            words = job.Cell(variant, model).command(asked, PROJECT / "jobs")[2:]
            provision.require_parameters(PROJECT, name, words)


def test_some_may_be_chosen(job):
    assert job.chosen("models", "mlp, cnn,mlp", job.MODELS) == ["mlp", "cnn"]
    with pytest.raises(SystemExit, match=r"models=mlp,svm: 'svm' is none of cnn, resnet, mlp, boosting"):
        job.chosen("models", "mlp,svm", job.MODELS)
