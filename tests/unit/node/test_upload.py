"""The end of the machines, seen by a run: asked once, it may checkpoint, and what it leaves goes to the store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from muster_node.queue import cli, dispatch, records, shutdown, upload, verdict
from muster_node.stores.base import Settings
from tests.fakes.servers import HdfsHandler, Server, StoreHandler

LIBRARY = Path(__file__).parents[3] / "node"
RUN = "train-20261122-050001-0001"
PROGRAM = """
import pathlib, os, signal, sys, time
def told(*_):
    pathlib.Path(os.environ["MUSTER_RESULTS"], "checkpoint").write_text("half")
    sys.exit(%d)
signal.signal(signal.SIGTERM, told)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("runs", "queue", "deps"):
        (tmp_path / name).mkdir()
    (tmp_path / "jobs.json").write_text(
        json.dumps(
            {
                "python": sys.executable,
                "python_path": [],
                "env": {},
                "copies": 1,
                "namenode_url": "",
                "events": "e",
            }
        )
    )
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setattr(records, "SETTINGS", tmp_path / "jobs.json")
    return tmp_path


def made(root: Path, **more) -> Path:
    home = root / "runs" / RUN
    (home / "code").mkdir(parents=True)
    (home / "log").touch()
    records.write(records.Record(run=RUN, name="train", kind="python", entry="main.py", **more), home)
    return home


@pytest.mark.parametrize(("status", "state"), [(3, "failed"), (0, "succeeded")])
def test_the_program_is_asked_and_its_checkpoint_stays(root: Path, status: int, state: str) -> None:
    home = made(root)
    (home / "code" / "main.py").write_text(PROGRAM % status)
    environment = {
        **os.environ,
        "MUSTER_JOBS_ROOT": str(root),
        "MUSTER_JOBS_SETTINGS": str(root / "jobs.json"),
    }
    program = "import sys; from muster_node.queue.cli import main; sys.exit(main())"
    runner = subprocess.Popen(
        [sys.executable, "-c", program, "run", RUN], env={**environment, "PYTHONPATH": str(LIBRARY)}
    )
    end = time.monotonic() + 20
    while "ready" not in (home / "log").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    runner.send_signal(signal.SIGUSR1)
    assert runner.wait(20) == status
    assert (home / "results" / "checkpoint").read_text() == "half"
    record = verdict.finish(RUN, "exit-code" if status else "success")
    assert record.state == state
    assert ("the cluster's time was over" in record.reason) is bool(status)


def test_the_queue_is_closed_before_jobs_are_asked_and_uploading_has_its_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    unit = f"muster-job@{RUN}.service"
    monkeypatch.setattr(
        shutdown.subprocess,
        "run",
        lambda command, **_: said.append(" ".join(command).removeprefix("systemctl ")),
    )
    monkeypatch.setattr(dispatch, "active", lambda: {unit})
    monkeypatch.setattr(dispatch, "as_user", lambda *words: said.append(" ".join(words)))
    monkeypatch.setattr(shutdown, "CHECKPOINT_S", 0.3)
    monkeypatch.setattr(shutdown, "ROLE", tmp_path)  # there is one
    deadline = time.time() + 100
    shutdown.shutdown(deadline)
    assert said == [
        "stop muster-jobs.path muster-jobs.service",
        f"kill --kill-whom=main --signal=SIGUSR1 {unit}",
        f"stop {unit}",
        "/opt/muster/bin/muster-role-credentials",
        f"upload {deadline}",
    ]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch):
    server = Server(StoreHandler)
    known = Settings(server.url, "key", "secret", "muster")
    monkeypatch.setattr(Settings, "load", classmethod(lambda *_: known))
    yield server
    server.shutdown()


@pytest.fixture
def hdfs():
    server = Server(HdfsHandler)
    yield server
    server.shutdown()


def test_results_and_event_logs_go_to_the_store_once(root: Path, store: Server, hdfs: Server) -> None:
    home = made(root, state="succeeded")
    (home / "results" / "model").mkdir(parents=True)
    (home / "results" / "model" / "weights").write_bytes(b"w" * 3000)
    (home / "log").write_text("it ran\n")
    hdfs.files = {
        f"/results/{RUN}/model/weights": b"another copy",
        f"/results/{RUN}/part-00000": b"rows",
        "/spark-events/app-1/events_1": b"{}",
        "/spark-events/app-1/appstatus": b"",
    }
    settings = {
        "namenode_url": hdfs.url,
        "events": "spark-events/retina-12345678",
    }
    assert upload.upload(settings, time.time() + 20) == (6, [])
    kept = {name.removeprefix("/muster/"): content for name, content in store.files.items()}
    assert kept.pop(f"results/{RUN}/run.json")
    assert kept == {
        f"results/{RUN}/log": b"it ran\n",
        f"results/{RUN}/model/weights": b"w" * 3000,
        f"results/{RUN}/part-00000": b"rows",
        "spark-events/retina-12345678/app-1/events_1": b"{}",
        "spark-events/retina-12345678/app-1/appstatus": b"",
    }
    assert upload.upload(settings, time.time() + 20) == (0, [])


def test_what_cannot_be_copied_is_said_and_stops_nothing_else(root: Path, store: Server) -> None:
    home = made(root)
    (home / "log").write_text("it ran\n")
    copied, wrong = upload.upload({"namenode_url": "http://127.0.0.1:9", "events": "e"}, time.time() + 20)
    assert copied == 2
    assert len(wrong) == 1
    assert wrong[0].startswith("HDFS does not list what it has")
    store.files.clear()
    copied, wrong = upload.upload({"namenode_url": "", "events": "e"}, time.time() - 1)
    assert (copied, len(wrong)) == (0, 2)
    assert wrong[0].startswith("no time left for results/")


def test_without_a_store_that_is_said(root: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    made(root)
    assert cli.upload_all(SimpleNamespace(deadline=time.time() + 5)) == 1
    assert "store.json" in capsys.readouterr().err


def test_what_one_job_has_left_does_not_cost_the_others(
    root: Path, store: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders in folders, until what lies there has no path any more."""
    home = made(root)
    (home / "results").mkdir()
    (home / "results" / "model").write_bytes(b"w")
    with monkeypatch.context() as inside:
        inside.chdir(home / "results")
        for _ in range(30):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        Path("rows").touch()
    assert upload.upload({"namenode_url": "", "events": "e"}, time.time() + 20) == (3, [])
    broken = "another-20261122-050001-0001"
    records.write(records.Record(run=broken, name="another", kind="python"), home)
    home.rename(home.with_name(broken))
    made(root)
    real = records.describe

    def describe(record: records.Record, **how: Any) -> dict[str, object]:
        if record.run == broken:
            raise OSError("it is\nodd")
        return real(record, **how)

    monkeypatch.setattr(records, "describe", describe)
    store.files.clear()
    found = upload.upload({"namenode_url": "", "events": "e"}, time.time() + 20)
    assert found == (2, [f"results of {broken}: it is odd"])
