"""What the queue tells MLflow: at the begin of a run, after its end, and when a server was away."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from muster_node.queue import comparing, records, tracked
from muster_node.queue.live import Live
from muster_node.queue.records import Record, Refused
from muster_node.tracking import settings
from muster_node.tracking.settings import Settings, Untracked
from tests.fakes.mlflow import PASSWORD, MlflowHandler
from tests.fakes.servers import Server

RUN = "cnn-20261129-063012-5b1c"
ENV = {"MUSTER_DATASET": "digits", "MUSTER_IMAGE_SIZE": "16"}


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[MlflowHandler]]:
    """A server that knows nothing, and a queue without runs."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "jobs.json").write_text(json.dumps({"env": ENV}))
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setattr(records, "SETTINGS", tmp_path / "jobs.json")
    monkeypatch.setattr(settings, "FILE", tmp_path / "tracking.json")
    handler = MlflowHandler.fresh()
    with Server(handler) as server:
        write(server.url)
        yield handler


def write(url: str, password: str = PASSWORD) -> None:
    known = Settings(url, "jobs", password, "pond", "0123abcd")
    settings.FILE.write_text(json.dumps(asdict(known)))


def run(state: str = "running", name: str = RUN, **given: Any) -> Record:
    """Make a run of the queue."""
    home = records.folder(name)
    (home / "results").mkdir(parents=True, exist_ok=True)
    (home / "log").write_text("epoch 1\n")
    known = {"kind": "builtin", "args": ("epochs=3",), "started": time.time() - 9, **given}
    record = Record(
        run=name, name="cnn", state=state, ended=time.time() if state != "running" else 0.0, **known
    )
    records.save(record)
    return record


def test_what_is_out_of_the_servers_reach_writes_into_its_results(mlflow: type[MlflowHandler]) -> None:
    assert tracked.apart(RUN)["MLFLOW_TRACKING_URI"] == (records.folder(RUN) / "results/mlruns").as_uri()
    assert PASSWORD not in str(tracked.apart(RUN))
    settings.FILE.unlink()
    assert tracked.apart(RUN) == {}


def begin(record: Record) -> tuple[dict[str, str], str]:
    """Return the environment of a run, and what its log says."""
    log = io.BytesIO()
    return tracked.environ(record, log), log.getvalue().decode()


def report() -> list[str]:
    known = Settings.load()
    assert known
    return tracked.report(known, wait_s=0)


def only(handler: type[MlflowHandler]) -> dict[str, Any]:
    (found,) = handler.runs.values()
    return found


def test_a_built_in_job_is_seen_while_it_runs(mlflow: type[MlflowHandler]) -> None:
    env, said = begin(run())
    found = only(mlflow)
    assert not said
    assert env["MLFLOW_RUN_ID"] == found["info"]["run_id"]
    assert (found["info"]["status"], mlflow.experiments[found["info"]["experiment_id"]]) == (
        "RUNNING",
        "digits",
    )
    assert json.loads(env["MLFLOW_RUN_CONTEXT"])["muster.run"] == RUN
    assert env["MLFLOW_TRACKING_PASSWORD"] == PASSWORD


def test_a_program_of_the_users_begins_its_runs_itself(mlflow: type[MlflowHandler]) -> None:
    env, _ = begin(run(kind="python"))
    assert not mlflow.runs
    assert "MLFLOW_RUN_ID" not in env
    assert env["MLFLOW_EXPERIMENT_NAME"] in mlflow.experiments.values()


@pytest.mark.parametrize(
    ("state", "status"), [("succeeded", "FINISHED"), ("failed", "FAILED"), ("cancelled", "KILLED")]
)
def test_a_run_that_has_ended_is_told_once(mlflow: type[MlflowHandler], state: str, status: str) -> None:
    begin(run())
    run(state)
    results = records.folder(RUN) / "results"
    (results / "network").mkdir()
    (results / "network" / "network.pt").write_bytes(b"weights")
    (results / "metrics.json").write_text('{"accuracy": 0.9, "losses": [2, 1]}')
    (results / "parameters.json").write_text('{"epochs": 3, "network": "small"}')
    assert (report(), report()) == ([RUN], [])
    found = only(mlflow)
    data = {kind: {each["key"]: each["value"] for each in found["data"][kind]} for kind in found["data"]}
    assert found["info"]["status"] == status
    assert data["params"] == {"epochs": "3", "network": "small"}
    assert data["metrics"] == {"accuracy": 0.9, "loss": 1}
    assert (data["tags"]["muster.state"], data["tags"]["muster.model"]) == (state, "network")
    names = {name.partition("/artifacts/")[2]: content for name, content in mlflow.files.items()}
    assert set(names) == {"log", "metrics.json", "parameters.json", "network/network.pt", "run.json"}
    assert json.loads(names["run.json"])["run"] == RUN


def test_what_a_program_has_logged_itself_stays_and_its_open_runs_end(mlflow: type[MlflowHandler]) -> None:
    env, _ = begin(run(kind="python"))
    tags = [{"key": key, "value": value} for key, value in json.loads(env["MLFLOW_RUN_CONTEXT"]).items()]
    handler = mlflow.__new__(mlflow)
    own = handler._runs_create({"run_name": "mine", "experiment_id": "1", "start_time": 1, "tags": tags})[
        "run"
    ]
    nested = [*tags, {"key": "mlflow.parentRunId", "value": own["info"]["run_id"]}]
    trial = handler._runs_create(
        {"run_name": "trial", "experiment_id": "1", "start_time": 1, "tags": nested}
    )["run"]
    handler._runs_log_batch({"run_id": own["info"]["run_id"], "metrics": [{"key": "accuracy", "value": 0.1}]})
    run("failed", kind="python")
    (records.folder(RUN) / "results" / "metrics.json").write_text('{"accuracy": 0.9}')
    report()
    assert own["data"]["metrics"] == [{"key": "accuracy", "value": 0.1}]
    assert (own["info"]["status"], trial["info"]["status"]) == ("FAILED", "FAILED")
    assert len(mlflow.runs) == 2


def test_progress_is_seen_while_a_run_goes_on(mlflow: type[MlflowHandler]) -> None:
    env, _ = begin(run())
    home = records.folder(RUN)
    live = Live(env, home)
    for text in (
        '{"step": 1, "of": 3, "metrics": {"loss": 2.5, "words": "x"}}',
        "no json",
        '{"step": 2}',
        "[1]",
    ):
        (home / "progress").write_text(text)
        live.look()
        live.look()  # what is told already is not told again
    (point,) = only(mlflow)["data"]["metrics"]
    assert (point["key"], point["value"], point["step"]) == ("progress.loss", 2.5, 1)
    write("http://127.0.0.1:9")
    assert Live({}, home).every_s is None
    gone = Live({**env, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, home)
    (home / "progress").write_text('{"step": 3, "metrics": {"loss": 1}}')
    gone.look()
    assert gone.every_s is None, "a server that does not answer is asked no more"


def test_what_a_run_has_sent_lies_within_it(mlflow: type[MlflowHandler]) -> None:
    outer, _ = begin(run())
    name = "cnn-20261129-063100-0001"
    begin(run(name=name, parent=RUN))
    run("succeeded", name=name, parent=RUN)
    assert report() == [name]
    (inner,) = [each for each in mlflow.runs.values() if each["info"]["run_name"] == name]
    tags = {each["key"]: each["value"] for each in inner["data"]["tags"]}
    assert (tags["mlflow.parentRunId"], inner["info"]["status"]) == (outer["MLFLOW_RUN_ID"], "FINISHED")
    assert len(mlflow.runs) == 2


def test_a_command_with_nothing_to_compare_is_not_among_the_runs(mlflow: type[MlflowHandler]) -> None:
    run("succeeded", kind="shell")
    assert report() == [RUN]
    assert not mlflow.runs


def test_runs_of_a_cluster_that_is_gone_end(mlflow: type[MlflowHandler]) -> None:
    begin(run())
    lost = only(mlflow)
    lost["data"]["tags"] = [
        {"key": "muster.run", "value": RUN}, {"key": "muster.cluster_id", "value": "ffffffff"},
    ]  # fmt: skip
    report()
    assert lost["info"]["status"] == "FAILED"


def test_a_run_that_goes_on_stays_open(mlflow: type[MlflowHandler]) -> None:
    begin(run())
    report()
    assert only(mlflow)["info"]["status"] == "RUNNING"


def test_a_server_that_is_gone_is_a_line_in_the_log_and_told_later(mlflow: type[MlflowHandler]) -> None:
    there = settings.FILE.read_text()
    write("http://127.0.0.1:9")
    env, said = begin(run())
    assert env["MLFLOW_TRACKING_URI"] == (records.folder(RUN) / "results" / "mlruns").as_uri()
    assert said.startswith("WARNING: not tracked while it runs: http://127.0.0.1:9 does not answer")
    assert said.count("\n") == 1
    run("succeeded")
    with pytest.raises(Untracked):
        report()
    settings.FILE.write_text(there)
    assert report() == [RUN]
    assert only(mlflow)["info"]["status"] == "FINISHED"


def test_a_wrong_password_is_said(mlflow: type[MlflowHandler]) -> None:
    write(
        f"http://127.0.0.1:{settings.FILE.read_text().partition('127.0.0.1:')[2].partition(chr(34))[0]}",
        "guess",
    )
    _, said = begin(run())
    assert "401" in said and "guess" not in said
    assert not mlflow.runs


def test_without_tracking_nothing_is_asked(mlflow: type[MlflowHandler]) -> None:
    settings.FILE.unlink()
    assert begin(run()) == ({}, "")
    with pytest.raises(Refused, match=r"features: \[tracking\]"):
        comparing.compare([])


def test_runs_are_compared_with_what_has_just_ended(mlflow: type[MlflowHandler]) -> None:
    begin(run())
    run("succeeded")
    (found,) = comparing.compare([])
    assert (found["run"], found["status"], found["experiment"]) == (RUN, "FINISHED", "digits")
    (whole,) = comparing.compare([RUN])
    assert whole["record"]["run"] == RUN
    with pytest.raises(Refused, match="knows no run"):
        comparing.compare(["cnn-20261129-063012-ffff"])
