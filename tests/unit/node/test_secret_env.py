"""Secrets of runs: in no record, bundle or store, and gone with the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from muster_node.queue import cli, dispatch, records, runner, secret_env, upload, verdict
from muster_node.stores.base import Settings
from provision.core.paths import PROJECT
from provision.jobs.request import JobRequest
from tests.fakes.servers import Server, StoreHandler

RUN, OTHER = "train-20261122-050001-0001", "next-20261122-050002-0002"
SECRETS = {"TOKEN": "s3cr3t-value", "PATH_TO": "s3cr3t-too"}
# As root's, whoever runs the tests: the program is the real one.
AS_ROOT = """
import os, sys
from muster_node.queue import cli, records
if {root}:
    os.geteuid = lambda: 0
    os.setgroups = lambda _: None
sys.exit(cli.main(["submit"]))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("runs", "queue", "deps", "placed"):
        (tmp_path / name).mkdir()
    settings = {"python": sys.executable, "python_path": [], "env": {}, "copies": 1, "namenode_url": ""}
    (tmp_path / "jobs.json").write_text(json.dumps(settings))
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setattr(records, "SETTINGS", tmp_path / "jobs.json")
    monkeypatch.setattr(secret_env, "FOLDER", tmp_path / "secrets")
    monkeypatch.setattr(runner, "LEFTOVERS_S", 0.0)
    monkeypatch.setattr(runner.signal, "signal", lambda *_: None)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    return tmp_path


def submit(
    root: Path, run: str = RUN, *, entry: str = "true", is_root: bool = True, cut: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """Send a run with secrets as the control machine does."""
    request = JobRequest(run, "train", "shell", entry, secrets=SECRETS)
    with (root / "sent").open("wb+") as stream:
        stream.write(request.header("me"))
        if not cut:
            request.write_archive(stream)
        stream.seek(0)
        known = {
            "PYTHONPATH": str(PROJECT / "node"),
            "MUSTER_JOBS_ROOT": str(root),
            "MUSTER_JOBS_SETTINGS": str(root / "jobs.json"),
            "MUSTER_JOBS_SECRETS": str(root / "secrets"),
        }
        program = AS_ROOT.format(root=is_root)
        return subprocess.run(
            [sys.executable, "-c", program], stdin=stream, env=os.environ | known, capture_output=True, check=False
        )  # fmt: skip


def kept(root: Path) -> list[str]:
    folder = root / "secrets"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def holding(root: Path, *but: str) -> list[str]:
    """The files in which a value of a secret stands."""
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in ("sent", *but)]
    return [
        path.name for path in files if any(each.encode() in path.read_bytes() for each in SECRETS.values())
    ]


def unit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand the secrets over as the unit of the run does: its LoadCredential, else its SetCredential."""
    text = (PROJECT / "roles/jobs/templates/muster-job@.service.j2").read_text()
    assert f"LoadCredential={secret_env.CREDENTIAL}:/run/muster-secrets/%i\n" in text
    assert f"SetCredential={secret_env.CREDENTIAL}:{{}}\n" in text
    given = root / "given"
    given.mkdir(exist_ok=True)
    path = root / "secrets" / RUN
    (given / secret_env.CREDENTIAL).write_text(path.read_text() if path.exists() else "{}")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))


def test_they_wait_for_their_run_alone_and_are_gone_when_it_has_them(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = submit(root, entry='echo "[$TOKEN]"; echo "$CREDENTIALS_DIRECTORY"')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["env"] == ["PATH_TO", "TOKEN"]
    assert (root / "secrets").stat().st_mode & 0o777 == 0o700
    assert (root / "secrets" / RUN).stat().st_mode & 0o777 == 0o600
    assert holding(root) == [RUN]
    assert submit(root, OTHER).returncode == 0
    everything = records.every()
    unit(root, monkeypatch)
    dispatch.forget_secrets(everything, started=everything[:1])
    assert kept(root) == [OTHER], "what was started has got its own; what waits still waits"
    runner.run(RUN)
    assert (root / "runs" / RUN / "log").read_text() == "[s3cr3t-value]\n\n"
    assert verdict.finish(RUN, "success").state == "succeeded"
    assert holding(root, "log", secret_env.CREDENTIAL) == [OTHER]


def test_records_bundles_and_stores_have_the_names(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert submit(root).returncode == 0
    old = records.Record(run=OTHER, name="next", kind="shell", env={"TOKEN": "s3cr3t-value"})  # made before
    (root / "runs" / OTHER).mkdir()
    (root / "runs" / OTHER / "log").touch()
    records.write(old, root / "runs" / OTHER)
    store = Server(StoreHandler)
    known = Settings(store.url, "key", "secret", "muster")
    monkeypatch.setattr(Settings, "load", classmethod(lambda *_: known))
    assert upload.upload({"namenode_url": "", "events": "e"}, time.time() + 20) == (4, [])
    store.shutdown()
    for run in (RUN, OTHER):
        assert cli.main(["bundle", run]) == 0
    told = capsysbinary.readouterr().out + b"".join(store.files.values())
    assert told.count(b"TOKEN") == 4
    assert b"s3cr3t" not in told


def test_what_is_cancelled_before_it_starts_wakes_who_forgets(root: Path) -> None:
    submit(root)
    dispatch._take_notes()
    assert cli.main(["cancel", RUN]) == 0
    assert dispatch._take_notes() == [f"{RUN}.cancel"]
    dispatch.forget_secrets(records.every(), started=[])
    assert kept(root) == []


def test_what_is_not_taken_in_leaves_none(root: Path) -> None:
    assert submit(root, cut=True).returncode == 2
    assert (kept(root), list((root / "runs").iterdir())) == ([], [])
    done = submit(root, is_root=False) if os.geteuid() else None
    assert done is None or b"secrets are taken from root alone" in done.stderr


def test_a_machine_that_was_stopped_has_forgotten_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(root)
    secret_env.forget(RUN)  # /run is memory
    unit(root, monkeypatch)
    runner.run(RUN)
    ended = verdict.finish(RUN, "exit-code")
    assert ended.state == "failed"
    assert ended.reason.startswith(
        "its secrets (PATH_TO, TOKEN) are gone: a machine forgets them when it stops"
    )


def test_they_are_kept_in_memory() -> None:
    program = "from muster_node.queue import secret_env; print(secret_env.FOLDER)"
    known = {**os.environ, "PYTHONPATH": str(PROJECT / "node")}
    known.pop("MUSTER_JOBS_SECRETS", None)
    done = subprocess.run(
        [sys.executable, "-c", program], env=known, capture_output=True, text=True, check=True
    )
    assert done.stdout == "/run/muster-secrets\n"
