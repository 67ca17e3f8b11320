"""The way to the queue of jobs, with an `ssh` that answers as it is told, also a master that lies."""

from __future__ import annotations

import io
import json
import shlex
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.core.errors import MusterError, Unreachable
from provision.jobs import queue as queue_module
from provision.jobs import runs
from provision.jobs.queue import Queue, fetch, send, stream
from provision.jobs.request import JobRequest
from tests.fakes.queue import record

RUN = "train-20261122-050000-0000"


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    home = tmp_path / "project"
    home.mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(queue_module, "ENDS_WITHIN_S", 0.5)
    return Queue("pond", home, "pond-master", tmp_path / "ssh_config")


def answer(folder: Path, script: str) -> None:
    program = folder / "ssh"
    program.write_text(f'#!/bin/sh\necho "$*" >> {folder}/asked\n{script}\n')
    program.chmod(0o755)


def test_a_master_that_does_not_answer_in_time_is_unreachable(queue: Queue, tmp_path: Path) -> None:
    answer(tmp_path, "exec sleep 60")
    begin = time.monotonic()
    with pytest.raises(Unreachable, match=r"pond-master: no answer within 0.2 s. See ./muster status"):
        queue.ask("list", "--json", timeout_s=0.2)
    assert time.monotonic() - begin < 10


def test_an_answer_in_time_is_one(queue: Queue, tmp_path: Path) -> None:
    answer(tmp_path, f"echo {shlex.quote(json.dumps([record(RUN)]))}")
    assert queue.runs(timeout_s=60) == [record(RUN)]


def master(folder: Path, *, says: Any = None, bundle: bytes = b"") -> None:
    """Let the master answer every question with the same, and send this as a run's results."""
    (folder / "bundle").write_bytes(bundle)
    (folder / "says").write_text(json.dumps(says))
    answer(folder, f'case "$*" in *bundle*) cat {folder}/bundle;; *follow*) ;; *) cat {folder}/says;; esac')


LIES: list[Any] = [
    None, "x", 7, {}, [7], ["x"], [{"run": RUN}],
    [record("../victim")], [record("../../home/me/.ssh")], [record("/etc")], [record(f"{RUN}/..")], [record("")],
    [record(RUN, state="\x1b[2J")], [record(RUN, seconds=float("inf"))], [record(RUN, submitted=float("nan"))],
    [record(RUN, ended="1")], [record(RUN, submitted=10**400)], [record(RUN, results="x")],
    [record(RUN, results=[{}])], [record(RUN, reason=["x"])],
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: json.dumps(lie)[:60])
def test_what_is_no_list_of_runs_is_no_answer(queue: Queue, tmp_path: Path, lie: Any) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "keep.txt").touch()
    master(tmp_path, says=lie, bundle=results())
    for ask in (lambda: runs.list_runs(queue), lambda: runs.logs(queue, follow=True)):
        with pytest.raises(MusterError, match="pond-master: something else than its queue of jobs answers"):
            ask()
    assert [path.name for path in victim.iterdir()] == ["keep.txt"]
    assert not (tmp_path / "project" / "results").exists()


@pytest.mark.parametrize("said", ["[" * 100_000, '{"run":' * 100_000, "9" * 5000, ""])
def test_what_python_cannot_take_in_is_no_answer(queue: Queue, tmp_path: Path, said: str) -> None:
    master(tmp_path)
    (tmp_path / "says").write_text(said)
    request = JobRequest(RUN, "train", "shell", "true")
    for ask in (lambda: runs.list_runs(queue), lambda: queue.run(RUN), lambda: send(queue, request)):
        with pytest.raises(MusterError, match="something else than its queue"):
            ask()


def test_another_run_than_was_asked_for_is_no_answer(queue: Queue, tmp_path: Path) -> None:
    master(tmp_path, says=record("other-20261122-050000-0000"))
    for ask in (queue.run, queue.cancel):
        with pytest.raises(MusterError, match="something else than its queue"):
            ask(RUN)
    with pytest.raises(MusterError, match="something else than its queue"):
        send(queue, JobRequest(RUN, "train", "shell", "true"))


@pytest.mark.parametrize("run", ["../victim", "", "train", f"{RUN}/../x", "-h"])
def test_what_is_no_run_is_not_even_asked_for(queue: Queue, tmp_path: Path, run: str) -> None:
    master(tmp_path, says=record(RUN), bundle=results())
    follow: Callable[[], object] = lambda: stream(queue, run, sink=print, say=print, wait=True)  # noqa: E731
    for ask in (lambda: fetch(queue, run), lambda: queue.run(run), lambda: queue.cancel(run), follow):
        with pytest.raises(MusterError, match="is not the name of a run. See ./muster jobs"):
            ask()
    assert not (tmp_path / "asked").exists()


def results(*more: tarfile.TarInfo, names: tuple[str, ...] = ("run.json", "log", "results/model")) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for member in (*map(tarfile.TarInfo, names), *more):
            archive.addfile(member)
    return body.getvalue()


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, to
    return made


def test_results_take_the_place_of_older_ones(queue: Queue, tmp_path: Path) -> None:
    master(tmp_path, bundle=results())
    fetch(queue, RUN)
    master(tmp_path, bundle=results(names=("run.json", "log", "results/log", "results/run.json/x")))
    target = fetch(queue, RUN)
    assert target == tmp_path / "project" / "results" / RUN
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == {"log", "run.json/x", "muster-log", "muster-run.json"}
    assert [path.name for path in target.parent.iterdir()] == [RUN], "nothing else is left there"


@pytest.mark.parametrize(
    "bundle",
    [
        results(tarfile.TarInfo("../../victim/keep.txt")),
        results(tarfile.TarInfo("/tmp/victim/keep.txt")),
        results(link("results/a", ".."), tarfile.TarInfo("results/a/evil")),
        results(link("results/a", "/etc/passwd")),
        results(link("results/a", "log", tarfile.LNKTYPE)),
        results(link("results/a", "", tarfile.CHRTYPE)),
        results(names=()),
        results(names=("run.json", "results/model")),
        results(link("log", "", tarfile.DIRTYPE), names=("run.json", "results/log/x")),
        b"",
        b"\x1b]0;title\x07",
    ],
)
def test_results_that_lead_elsewhere_are_not_taken_in(queue: Queue, tmp_path: Path, bundle: bytes) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "keep.txt").write_text("mine")
    master(tmp_path, bundle=bundle)
    if b"results/log/x" in bundle:  # odd, and harmless
        fetch(queue, RUN)
        return
    with pytest.raises(MusterError, match=f"pond-master: the results of {RUN} are not taken in") as caught:
        fetch(queue, RUN)
    assert str(caught.value).isprintable()
    assert (victim / "keep.txt").read_text() == "mine"
    assert list((tmp_path / "project" / "results").iterdir()) == []


@pytest.mark.parametrize("endless", ["cat /dev/zero", "yes"])
def test_a_stream_without_end_is_ended(queue: Queue, tmp_path: Path, endless: str) -> None:
    (tmp_path / "bundle").write_bytes(results())
    answer(tmp_path, f"cat {tmp_path}/bundle; exec {endless}")
    begin = time.monotonic()
    with pytest.raises(MusterError, match="not taken in"):
        fetch(queue, RUN)
    assert time.monotonic() - begin < 20


def test_what_went_wrong_there_is_said_before_what_came(queue: Queue, tmp_path: Path) -> None:
    answer(tmp_path, f"echo 'muster-job: there is no run {RUN}\x1b[2J' >&2; exit 2")
    with pytest.raises(MusterError) as caught:
        fetch(queue, RUN)
    assert str(caught.value) == f"pond-master: there is no run {RUN}^[[2J"


def test_logs_and_reasons_cannot_speak_to_the_terminal(
    queue: Queue, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;title\x07"
    says = shlex.quote(json.dumps(record(RUN, results=[f"{evil}.csv"])))
    script = f"*follow*) printf '%s' '{evil}'; printf '%s\\n' 'queued, 1 ahead: {evil}' >&2;;"
    (tmp_path / "bundle").write_bytes(results())
    answer(tmp_path, f'case "$*" in {script} *bundle*) cat {tmp_path}/bundle;; *) printf %s {says};; esac')
    runs.logs(queue, RUN, follow=True)
    told = capfd.readouterr()
    assert told.out == "^[]0;title^G"
    assert "queued, 1 ahead: ^[]0;title^G" in told.err and "(^[]0;title^G.csv)" in told.err
    assert "\x1b" not in told.err


def test_secrets_go_to_root_and_stand_in_no_command_line(queue: Queue, tmp_path: Path) -> None:
    program = f"import sys; open({str(tmp_path / 'sent')!r}, 'wb').write(sys.stdin.buffer.read())"
    says = shlex.quote(json.dumps(record(RUN)))
    answer(tmp_path, f"{sys.executable} -c {shlex.quote(program)}; printf %s {says}")
    send(queue, JobRequest(RUN, "train", "shell", "true", secrets={"TOKEN": "s3cr3t"}))
    send(queue, JobRequest(RUN, "train", "shell", "true"))
    secret, plain = (tmp_path / "asked").read_text().splitlines()
    assert (
        "-l muster " in secret
        and "pond-master sudo -n --preserve-env=SSH_USER_AUTH /opt/muster/bin/muster-job submit" in secret
    )
    assert "-l hadoop " in plain and "pond-master /opt/muster/bin/muster-job submit" in plain
    assert "s3cr3t" not in secret
    assert "s3cr3t" not in repr(JobRequest(RUN, "train", "shell", "true", secrets={"TOKEN": "s3cr3t"}))
