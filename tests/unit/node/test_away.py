"""A run on another machine: two queues on this one, and an `ssh` that leads from one to the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from muster_node.queue import away, cli, placements, records, verdict, wire
from muster_node.queue.placing import Place
from muster_node.queue.records import Record
from muster_node.tracking import settings as tracking
from muster_node.tracking.settings import Settings
from provision.core.paths import PROJECT

RUN, OLD = "train-20261122-050001-0001", "old-20261122-050000-0000"
SSH = """#!/bin/sh
[ ! -e {gone} ] || exit 255
while [ $# -gt 0 ] && [ "$1" != hadoop@10.0.0.7 ]; do shift; done
shift
export SSH_ORIGINAL_COMMAND="$*"
exec {muster_job} wire
"""
PROGRAM = """#!/bin/sh
export MUSTER_JOBS_ROOT={root} MUSTER_JOBS_SETTINGS={root}/jobs.json MUSTER_JOBS_GUEST_SECRETS={root}/secrets
export PYTHONPATH={node}
exec {python} -c 'import sys; from muster_node.queue.cli import main; sys.exit(main(sys.argv[1:]))' "$@"
"""


class Guest:
    """The other machine: what is put there begins at once, as its dispatch would have it."""

    def __init__(self, root: Path) -> None:
        self.root, self.program = root, root / "muster-runs"
        for name in ("runs", "queue", "deps", "placed", "secrets"):
            (root / name).mkdir(parents=True)
        settings = {"name": "w1", "guest": True, "python": sys.executable, "python_path": [], "env": {}}
        (root / "jobs.json").write_text(json.dumps(settings))
        known = {"root": root, "node": PROJECT / "node", "python": sys.executable}
        self.program.write_text(PROGRAM.format(**known))
        self.program.chmod(0o755)
        self.over = False

    def dispatch(self) -> None:
        while not self.over:
            for note in (self.root / "queue").iterdir():
                note.unlink()
                run, _, what = note.name.rpartition(".")
                if what == "submit":
                    subprocess.Popen(
                        ["/bin/sh", "-c", f"{self.program} run {run}; {self.program} finish {run}"]
                    )
                if what == "cancel":
                    subprocess.run([self.program, "finish", run], check=False)
            time.sleep(0.05)

    def add(self, run: str, state: str) -> None:
        (self.root / "runs" / run).mkdir()
        (self.root / "runs" / run / "log").touch()
        records.write(Record(run, "old", "shell", state=state), self.root / "runs" / run)


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guest]:
    made = Guest(tmp_path / "guest")
    for name in ("runs", "queue", "deps", "placed"):
        (tmp_path / name).mkdir()
    machines = [{"name": "m", "address": "10.0.0.1"}, {"name": "w1", "address": "10.0.0.7", "cores": 2}]
    settings = {"name": "m", "machines": machines, "namenode_url": "", "copies": 1}
    (tmp_path / "jobs.json").write_text(json.dumps(settings))
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setattr(records, "SETTINGS", tmp_path / "jobs.json")
    monkeypatch.setattr(away, "AGAIN_S", 0.05)
    monkeypatch.setattr(away, "GONE_S", 0.5)
    monkeypatch.setattr(away.signal, "signal", lambda *_: None)
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text(SSH.format(gone=tmp_path / "gone", muster_job=made.program))
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    thread = threading.Thread(target=made.dispatch)
    thread.start()
    yield made
    made.over = True
    thread.join()


def put(entry: str, **more: object) -> Path:
    """Have a run in the queue, and a place for it on the other machine."""
    home = records.folder(RUN)
    (home / "code").mkdir(parents=True)
    (home / "log").touch()
    records.save(Record(RUN, "train", "shell", entry, on="worker", submitted=1.0, **more))  # type: ignore[arg-type]
    placements.keep(RUN, Place(("w1",), 1, 500))
    return home


def have() -> Record:
    away.run(RUN)
    return verdict.finish(RUN, "success")


def test_its_log_results_and_end_come_here_and_nothing_stays_there(guest: Guest) -> None:
    home = put(
        'echo "$MUSTER_CORES of $MUSTER_MEMORY_MB"; echo x > $MUSTER_RESULTS/x; echo half > $MUSTER_PROGRESS'
    )
    record = have()
    assert (record.state, record.node, record.cores) == ("succeeded", "w1", 1)
    said = (home / "log").read_text()
    assert said.startswith("1 of 500\nmuster-job: succeeded after ") and said.count("\n") == 2
    assert (home / "results" / "x").read_text() == "x\n"
    assert "ruff" in records.describe(record, whole=True)["packages"]  # type: ignore[operator]
    assert list((guest.root / "runs").iterdir()) == []


@pytest.mark.parametrize("near", [True, False])
def test_what_it_tells_mlflow_lies_in_its_results_where_the_server_is_out_of_reach(
    guest: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, near: bool
) -> None:
    """The server's password does not leave the master's network."""
    monkeypatch.setattr(tracking, "FILE", tmp_path / "tracking.json")
    nowhere = Settings("http://127.0.0.1:9", "jobs", "a secret of jobs", "pond", "0123abcd")
    tracking.FILE.write_text(json.dumps(asdict(nowhere)))
    settings = json.loads(records.SETTINGS.read_text())
    settings["machines"][1]["near"] = near
    records.SETTINGS.write_text(json.dumps({**settings, "env": {}}))
    home = put('env | grep "^MLFLOW"')
    assert have().state == "succeeded"
    said = (home / "log").read_text()
    assert f"MLFLOW_TRACKING_URI=file://{home}/results/mlruns" in said
    assert ("not tracked while it runs" in said) is near, "there nobody is asked"
    assert "a secret of jobs" not in said


def test_why_it_failed_is_known_there(guest: Guest) -> None:
    put("echo 'no labels' >&2; exit 3")
    record = have()
    assert (record.state, record.reason, record.exit_status) == ("failed", "no labels (exit status 3)", 3)


def test_what_the_queue_has_no_more_there_is_ended_first(guest: Guest) -> None:
    guest.add(OLD, "running")
    put("true")
    assert have().state == "succeeded"
    assert json.loads((guest.root / "runs" / OLD / "run.json").read_text())["state"] == "cancelled"


def test_a_machine_that_is_silent_has_lost_its_run(guest: Guest, tmp_path: Path) -> None:
    put(f"touch {tmp_path}/gone; echo begun; kill -9 $(pgrep -f '[f]ollow {RUN}'); sleep 1")
    record = have()
    assert record.state == "failed"
    assert record.reason == "w1 has not answered for 0 s: the run is lost; submit it again"


def test_one_that_was_followed_before_is_followed_again_from_where_its_log_ends(guest: Guest) -> None:
    home = put("echo one; echo two")
    have()
    guest.add(RUN, "succeeded")
    (guest.root / "runs" / RUN / "log").write_text("one\ntwo\nthree\n")
    (home / "log").write_text("one\ntwo\n")
    (home / verdict.EXIT).unlink()
    records.save(Record(RUN, "train", "shell", "x", on="worker", state="running", started=1.0))
    assert verdict.finish(RUN, "success").state == "running", "only what follows it has ended"
    assert have().state == "succeeded"
    assert (home / "log").read_text().startswith("one\ntwo\nthree\nmuster-job: succeeded after ")


@pytest.mark.parametrize("line", ["", "bash", "run x", "submit; id", "dispatch", "'"])
def test_the_wire_takes_its_verbs_alone(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", line)
    assert cli.main(["wire"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert len(wire.VERBS) == 6
