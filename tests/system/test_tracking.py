"""What was trained: told to MLflow by the queue, seen in the terminal and in a browser, there after the cluster."""

from __future__ import annotations

import json
import shlex
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.browser import browser
from tests.system.lab import Lab, eventually
from tests.system.opened import opened
from tests.system.runs import only_run

pytestmark = pytest.mark.long
OWN = """\
import mlflow

mlflow.log_param("depth", 3)
for step in range(3):
    mlflow.log_metric("gain", step / 2, step=step)
mlflow.log_text("hello", "note.txt")
"""
SLEEPS = 'import mlflow, time\nmlflow.log_metric("gain", 1)\nprint("asleep", flush=True)\ntime.sleep(600)\n'
READ = """\
import mlflow, sys
client = mlflow.MlflowClient()
(run,) = [run for each in client.search_experiments() for run in client.search_runs([each.experiment_id])
          if run.info.run_name == sys.argv[1]]
path = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=sys.argv[2], dst_path=".")
print("artifact", open(path, "rb").read(4))
"""
LEFT = """\
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import sqlalchemy
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base

from muster_node.stores.base import Settings as StoreSettings
from muster_node.stores.open import open_store
from muster_node.tracking.history import History
from muster_node.tracking.settings import Settings

revision, mark, version = sys.argv[1:]
folder = Path(mkdtemp())
engine = sqlalchemy.create_engine(f"sqlite:///{folder}/mlflow.db")
Base.metadata.create_all(engine)
config = _get_alembic_config(str(engine.url))
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
    connection.execute(sqlalchemy.text(
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
        "VALUES (1, 'digits', 'mlflow-artifacts:/1', 'active')"
    ))
    connection.execute(sqlalchemy.text(
        "INSERT INTO runs (run_uuid, name, user_id, source_type, status, start_time, end_time, lifecycle_stage, "
        "artifact_uri, experiment_id) VALUES ('00000000000000000000000000000abc', 'of-an-older-mlflow', 'katie', 'LOCAL', "
        "'FINISHED', 1000, 2000, 'active', 'mlflow-artifacts:/1/abc/artifacts', 1)"
    ))
    connection.execute(sqlalchemy.text("INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
        "VALUES ('accuracy', 0.5, 1500, 0, 0, '00000000000000000000000000000abc')"))
    if mark:
        connection.execute(sqlalchemy.text(f"UPDATE alembic_version SET version_num = '{mark}'"))
History(Settings.load(), folder, Path(), Path()).save(open_store(StoreSettings.load()), version)
"""
"""Leaves a history of this cluster's in the store: of MLflow's own steps up to a revision, then marked otherwise."""
OLD = "0584bdc529eb"
"""The revision of MLflow 2.15 to 2.20."""
GROUPS = {"master": {"cores": 2, "memory_gb": 3.5, "data_disk_gb": 20}}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Lab]:
    """A cluster of one node that tracks what runs on it."""
    made = Lab(tmp_path_factory.mktemp("tracked"), store, nodes=1, groups=GROUPS, features=["tracking"])
    made.up(16)
    yield made
    made.destroy()
    made.drop_results()


@pytest.fixture(scope="module")
def trained(lab: Lab) -> list[str]:
    """Three runs of a built-in job."""
    return [only_run(lab.muster("submit", "baseline", f"iterations={many}").ok()) for many in (3, 10, 50)]


def runs(lab: Lab, *options: str) -> dict[str, dict]:
    return {run["run"]: run for run in lab.muster("runs", "--json", *options).ok().json()}


def program(lab: Lab, folder: Path, text: str, *words: str) -> str:
    """Submit a program of the user's; return what its name is, without waiting for its end."""
    path = folder / "mine.py"
    path.write_text(text)
    return lab.muster("submit", "--detach", str(path), *words).ok().answer.strip()


def ended(lab: Lab, run: str) -> str:
    return lab.muster("logs", run, "-f").output


def status_of(lab: Lab, password: str) -> str:
    """What the server answers to a user with this password, asked from the master."""
    who = f"-u jobs:{password}" if password else ""
    url = f"http://{lab.master}:5000/api/2.0/mlflow/experiments/search?max_results=5"
    return lab.ssh(lab.master, f"curl -s -o /dev/null -w '%{{http_code}}' {who} '{url}'").ok().answer


def test_a_built_in_jobs_run_has_parameters_figures_and_pictures(lab, trained):
    found = runs(lab)[trained[0]]
    assert found["status"] == "FINISHED"
    assert found["params"]["iterations"] == "3" and found["params"]["balance"] == "none", "defaults, too"
    assert found["metrics"]["accuracy"] > 0.8
    assert (
        found["tags"].items()
        >= {"muster.job": "baseline", "muster.dataset": "digits", "muster.size": "16"}.items()
    )
    assert len(found["tags"]["muster.code"]) == 64 and "master" in found["tags"]["muster.shape"]
    assert float(found["tags"]["muster.seconds"]) > 0


def test_they_are_listed_ranked_and_compared(lab, trained):
    shown = lab.muster("runs", "--sort", "accuracy").ok().answer.splitlines()
    assert shown[0].split()[:4] == ["RUN", "STATE", "BEGUN", "TOOK"]
    best = max(runs(lab).values(), key=lambda run: run["metrics"].get("accuracy", 0))
    assert shown[1].startswith(best["run"])
    few = runs(lab, "--where", 'params.iterations = "3"')
    assert list(few) == [trained[0]]
    told = lab.muster("runs", "diff", trained[0], trained[2]).ok().answer
    assert any(line.split() == ["parameter", "iterations", "3", "50"] for line in told.splitlines()), told
    lab.muster("runs", "diff", trained[0], "baseline-20200101-000000-0000").refused("knows no run")


def test_a_forest_of_two_engines_is_sorted_by_the_better_one(lab):
    run = only_run(lab.muster("submit", "random_forest", "trees=10").ok())
    found = runs(lab)[run]["metrics"]
    each = [found[f"engines.{engine}.accuracy"] for engine in ("spark", "sklearn")]
    assert found["accuracy"] == max(each)
    (line,) = [line for line in lab.muster("runs").ok().answer.splitlines() if line.startswith(run)]
    assert f"accuracy {max(each):.4g}" in line


def test_a_program_needs_no_more_than_to_import_mlflow(lab, tmp_path):
    run = program(lab, tmp_path, OWN)
    assert "succeeded" in ended(lab, run)
    found = runs(lab)[run]
    assert (found["experiment"], found["status"]) == ("digits", "FINISHED")
    assert (found["params"], found["metrics"]["gain"]) == ({"depth": "3"}, 1.0)
    assert found["tags"]["muster.run"] == run


@pytest.mark.parametrize("how", ["cancel", "kill"])
def test_a_run_that_is_killed_ends_in_mlflow_too(lab, tmp_path, how):
    run = program(lab, tmp_path, SLEEPS)
    eventually(lambda: "asleep" in lab.muster("logs", run).output, 60, "asleep")
    assert runs(lab)[run]["status"] == "RUNNING"
    if how == "cancel":
        lab.muster("cancel", run).ok()
    else:
        unit = f"muster-job@{run}.service"
        assert lab.node(lab.master, sudo=True).run(f"systemctl kill --signal=KILL {unit}").rc == 0
        ended(lab, run)
    assert runs(lab)[run]["status"] == {"cancel": "KILLED", "kill": "FAILED"}[how]


def test_without_the_password_nobody_gets_anything(lab, trained):
    password = (lab.state_dir / "secrets" / "tracking").read_text().strip()
    assert [status_of(lab, one) for one in ("", "a" * 40, password)] == ["401", "401", "200"]
    seen = lab.node(lab.master, sudo=True).run(
        "ps -eo args; cat /var/lib/muster/runs/*/log /var/lib/muster/runs/*/run.json; journalctl -b --no-pager"
    )
    assert password not in seen.stdout
    listening = lab.node(lab.master, sudo=True).run("ss -Hltn sport = :5000").stdout.split()
    assert listening[3] == f"{lab.machines()[lab.master]['address']}:5000"


def test_a_server_that_is_down_fails_no_job(lab):
    master = lab.node(lab.master, sudo=True)
    assert master.run("systemctl stop mlflow").rc == 0
    done = lab.muster("submit", "baseline", "iterations=2").ok()
    assert done.output.count("WARNING: not tracked while it runs") == 1
    assert master.run("systemctl start mlflow").rc == 0
    run = only_run(done)
    assert eventually(lambda: runs(lab).get(run), 120, "told later")["status"] == "FINISHED"


def test_the_compare_page_in_a_browser(lab, trained, tmp_path):
    known = runs(lab)
    ids = urllib.parse.quote(json.dumps([known[run]["id"] for run in trained]))
    experiment = urllib.parse.quote(json.dumps([known[trained[0]]["artifacts"].split("/")[1]]))
    with opened(lab, "ui") as addresses, browser() as (pages, asked):
        page = pages.new_page()
        page.goto(addresses["MLflow"])
        refused = []
        page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
        place = page.url.partition("#")[0]
        page.goto(f"{place}#/compare-runs?runs={ids}&experiments={experiment}")
        page.get_by_text("Comparing 3 Runs from 1 Experiment").wait_for()
        page.get_by_text("Parallel Coordinates Plot").wait_for()
        for run in trained:
            assert page.get_by_text(run).count()
        page.screenshot(path=str(tmp_path / "compare.png"))
        one = known[trained[2]]
        page.goto(
            f"{place}#/experiments/{one['artifacts'].split('/')[1]}/runs/{one['id']}/artifacts/confusion_matrix.png"
        )
        page.locator("img[src*=blob], img[src*=artifact], canvas").first.wait_for()
        page.screenshot(path=str(tmp_path / "picture.png"))
        assert not refused
    assert {urllib.parse.urlsplit(url).hostname for url in asked if url.startswith("http")} == {"127.0.0.1"}


def test_the_next_cluster_knows_them_too(lab, trained, labs, tmp_path):
    before = runs(lab, "--limit", "100")
    lab.destroy().ok()
    other = labs(nodes=1, groups=GROUPS, features=["tracking"], store=lab.store)
    other.playbook("start_cluster.yml").ok()
    done = other.playbook("main.yml", "-e", "IMAGE_SIZE=16").ok()
    assert f"tracking goes on from {len(before)} runs of {lab.name}" in done.output, done.report()
    after = runs(other, "--limit", "100")
    assert {name: run["metrics"] for name, run in after.items()} == {
        name: run["metrics"] for name, run in before.items()
    }
    run = program(other, tmp_path, READ, "--", trained[2], "confusion_matrix.png")
    assert "artifact b'\\x89PNG'" in ended(other, run)


def test_a_history_of_another_mlflow_is_upgraded_or_refused(labs):
    lab = labs(nodes=1, groups=GROUPS, features=["tracking"])
    lab.up(16)
    master = lab.node(lab.master, sudo=True)
    again = ("main.yml", "-e", "IMAGE_SIZE=16")

    def leave(mark: str, version: str) -> None:
        """Have the disk lost, and only another MLflow's history left."""
        words = shlex.join([LEFT, OLD, mark, version])
        lab.ssh(
            lab.master, f"sudo -u mlflow /opt/muster/tracking/venv/bin/python -I -c {words}", "muster"
        ).ok()
        master.check_output("systemctl stop mlflow")
        master.check_output("rm -f /data/mlflow/mlflow.db /data/mlflow/origin.json /data/mlflow/saved")

    leave("ffff00000000", "99.0.0")
    lab.playbook(*again).refused("the history was made by MLflow 99.0.0, whose database the older one here")
    assert not master.file("/data/mlflow/mlflow.db").exists
    leave("", "2.20.0")
    done = lab.playbook(*again).ok()
    assert f"tracking goes on from 1 runs of {lab.name}" in done.output, done.report()
    assert "tracking: its database was that of MLflow 2.20.0, and is upgraded" in done.output, done.report()
    run = only_run(lab.muster("submit", "baseline", "iterations=2").ok())
    known = runs(lab)
    assert set(known) == {"of-an-older-mlflow", run}
    assert known["of-an-older-mlflow"]["metrics"] == {"accuracy": 0.5}


def test_a_cluster_that_tracks_nothing_says_how_it_would(labs):
    plain = labs(nodes=1)
    plain.muster("runs").refused(r"features: \[tracking\]")
