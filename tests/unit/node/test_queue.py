"""The queue on the master, without systemd: submit, order, run, finish, cancel."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from muster_node import idle
from muster_node.archive import unpack
from muster_node.hdfs.webhdfs import HdfsGone
from muster_node.queue import cli, dispatch, environment, records, results, runner, verdict
from provision.core.paths import PROJECT
from tests.fakes.servers import HdfsHandler, Server


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("runs", "queue", "deps", "placed", "jobs/hello", "jobs/common"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "jobs/hello/main.py").write_text("print('hello')\n")
    settings = {
        "python": sys.executable, "python_path": [], "spark_submit": "/bin/true", "jobs": str(tmp_path / "jobs"),
        "env": {"MUSTER_DATASET": "digits"},
    }  # fmt: skip
    (tmp_path / "jobs.json").write_text(json.dumps(settings))
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setattr(records, "SETTINGS", tmp_path / "jobs.json")
    monkeypatch.setattr(runner.signal, "signal", lambda *_: None)
    monkeypatch.setattr(runner, "LEFTOVERS_S", 0.0)
    return tmp_path


def send(
    monkeypatch: pytest.MonkeyPatch, run: str, files: dict[str, str] | None = None, **request: Any
) -> int:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for name, text in (files or {}).items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    line = json.dumps(
        {"run": run, "name": run.split("-", maxsplit=1)[0], "kind": "shell", "entry": "true", **request}
    )
    stream = io.BytesIO(line.encode() + b"\n" + body.getvalue())
    monkeypatch.setattr(cli.sys, "stdin", SimpleNamespace(buffer=stream))
    return cli.main(["submit"])


def run_it(run: str, result: str = "success") -> records.Record:
    runner.run(run)
    return verdict.finish(run, result)


def begun() -> list[str]:
    """Return what would start now, where nothing runs."""
    return [record.run for record, _ in dispatch.begin(records.every(), [])]


A, B, C = (f"{name}-20261122-05000{number}-000{number}" for number, name in enumerate("abc"))


def test_runs_in_the_order_of_submission(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert send(monkeypatch, A) == send(monkeypatch, B) == 0
    assert [record.run for record in records.every()] == [A, B]
    assert begun() == [A]
    assert dispatch.begin(records.every(), [A]) == [], "one at a time has the cluster"
    assert records.describe(records.load(B))["ahead"] == [A]
    run_it(A)
    assert begun() == [B]
    assert sorted(path.name for path in (root / "queue").iterdir()) == [f"{A}.submit", f"{B}.submit"]


def test_the_same_submission_twice_is_one_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(monkeypatch, A)
    run_it(A)
    send(monkeypatch, A)
    assert [record.state for record in records.every()] == ["succeeded"]


def test_a_python_file_finds_its_environment_and_leaves_results(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import os, sys, pathlib\n"
        "pathlib.Path(os.environ['MUSTER_RESULTS'], 'x.txt').write_text(os.environ['MUSTER_DATASET'] + sys.argv[1])\n"
    )
    send(
        monkeypatch,
        A,
        {"code/p.py": program},
        kind="python",
        entry="p.py",
        args=["!"],
        env={"MUSTER_DATASET": "eyes"},
    )
    record = run_it(A)
    assert (record.state, record.exit_status) == ("succeeded", 0)
    assert (root / "runs" / A / "results" / "x.txt").read_text() == "eyes!"
    assert records.describe(record)["results"] == ["x.txt"]


def test_what_is_in_the_environment_may_be_secret(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(monkeypatch, A, env={"TOKEN": "hush"})
    record = run_it(A)
    assert records.describe(record)["env"] == ["TOKEN"]
    assert (root / "runs" / A / "run.json").stat().st_mode & 0o777 == 0o600


def test_a_built_in_job_is_copied_into_its_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "jobs/common/shared.py").write_text("WORD = 'hello'\n")
    (root / "jobs/hello/main.py").write_text("import shared\nprint(shared.WORD)\n")
    send(monkeypatch, A, kind="builtin", name="hello", entry="main.py")
    assert run_it(A).state == "succeeded"
    assert environment._modules(root / "runs" / A), "executors get the shared modules"
    assert (root / "runs" / A / "log").read_text().startswith("hello\nmuster-job: succeeded after ")


def test_the_last_line_of_a_failed_run_is_the_reason(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(monkeypatch, A, {"code/p.py": "raise ValueError('no labels')\n"}, kind="python", entry="p.py")
    record = run_it(A, "exit-code")
    assert (record.state, record.exit_status, record.reason) == ("failed", 1, "ValueError: no labels")
    assert (root / "runs" / A / "log").read_text().splitlines()[
        -1
    ] == "muster-job: failed: ValueError: no labels"


def test_a_program_that_is_not_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(monkeypatch, A, kind="python", entry="p.py")
    assert run_it(A, "exit-code").reason == "p.py is not in what was submitted"


def test_out_of_memory_and_restart(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for run, result, wanted in (
        (A, "oom-kill", "out of memory"),
        (B, "vanished", "machine restarted while it ran"),
    ):
        send(monkeypatch, run)
        records.change(run, only_from=frozenset(("queued",)), state="running", started=1.0)
        assert verdict.finish(run, result).reason.startswith(wanted)


@pytest.mark.parametrize(("kills", "wanted"), [(7, "ended by signal 9"), (8, "out of memory")])
def test_a_kill_is_out_of_memory_when_the_kernel_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch, kills: int, wanted: str
) -> None:
    monkeypatch.setattr(verdict, "VMSTAT", root / "vmstat")
    (root / "vmstat").write_text("pgfault 3\noom_kill 7\n")
    send(monkeypatch, A, entry="kill -9 $$")
    runner.run(A)
    (root / "vmstat").write_text(f"pgfault 3\noom_kill {kills}\n")
    assert verdict.finish(A, "exit-code").reason.startswith(wanted)


def test_cancelling_what_waits(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    send(monkeypatch, A)
    assert cli.main(["cancel", A]) == 0
    assert records.load(A).state == "cancelled"
    assert begun() == []
    assert runner.run(A) == 0 and not (root / "runs" / A / "exit.json").exists()
    assert cli.main(["cancel", A]) == 2
    assert "has already been cancelled" in capsys.readouterr().err


def test_following_ends_with_the_run_and_says_how(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(monkeypatch, A, entry="echo one; exit 4")
    run_it(A, "exit-code")
    out = io.BytesIO()
    monkeypatch.setattr(cli.sys, "stdout", SimpleNamespace(buffer=out))
    assert cli.main(["follow", A, "--offset", "4"]) == 1
    assert out.getvalue() == b"muster-job: failed: one (exit status 4)\n"


@pytest.mark.parametrize("run", ["../../etc", "a", "A-20261122-050000-0000", "a-20261122-050000-0000/.."])
def test_names_that_are_no_runs_are_refused(root: Path, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", run]) == 2
    assert "is not the name of a run" in capsys.readouterr().err


def test_an_archive_cannot_write_outside_its_run(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert send(monkeypatch, A, {"../../evil": "x"}) == 2
    assert "is not taken in: '../../evil' lies outside" in capsys.readouterr().err
    assert list((root / "runs").iterdir()) == []


def test_notes_in_the_queue_are_taken_once_and_strangers_are_ignored(root: Path) -> None:
    for name in (f"{A}.submit", "nonsense.submit", "x"):
        (root / "queue" / name).touch()
    assert dispatch._take_notes() == [f"{A}.submit"]
    assert dispatch._take_notes() == []


def test_damaged_records_do_not_stop_the_queue(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(monkeypatch, A)
    send(monkeypatch, B)
    (root / "runs" / A / "run.json").write_text("{")
    assert [record.run for record in records.every()] == [B]


@pytest.mark.parametrize(
    "changed",
    [{"run": B}, {"run": "../../etc"}, {"run": 7}, {"submitted": "x"}, {"ended": None}, {"state": []},
     {"env": []}, {"args": 7}, {"secrets": None}, {"more": 1}],
)  # fmt: skip
def test_records_that_a_job_has_forged_do_not_stop_the_queue(
    root: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    send(monkeypatch, A)
    send(monkeypatch, B)
    path = root / "runs" / A / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    assert [record.run for record in records.every()] == [B]
    with pytest.raises(records.Refused, match=f"the record of {A} is damaged"):
        records.load(A)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to(path.parents[1] / B / "run.json")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("put", [pipe, link, endless, large, Path.mkdir])
def test_what_a_job_puts_in_place_of_its_record_holds_nobody_up(
    root: Path, monkeypatch: pytest.MonkeyPatch, put: Callable[[Path], object]
) -> None:
    """Root reads records too, to start the next run and to see whether the machine is used."""
    send(monkeypatch, A)
    send(monkeypatch, B)
    (root / "runs" / A / "run.json").unlink()
    put(root / "runs" / A / "run.json")
    assert [record.run for record in records.every()] == [B]
    assert idle.jobs(0.0) == [B]


@pytest.mark.parametrize("name", [verdict.EXIT, verdict.LOST, verdict.OOM_KILLS, "log"])
@pytest.mark.parametrize("put", [pipe, link, endless, large, Path.mkdir])
def test_nor_does_what_it_puts_in_place_of_other_files(
    root: Path, monkeypatch: pytest.MonkeyPatch, put: Callable[[Path], object], name: str
) -> None:
    """Root waits for the word on how a run ended before it starts the next one."""
    send(monkeypatch, A)
    home = root / "runs" / A
    records.save(replace(records.load(A), state="running"))
    (home / name).unlink(missing_ok=True)
    put(home / name)
    ended = verdict.finish(A, verdict.VANISHED)
    assert (ended.state, ended.reason) == ("failed", "machine restarted while it ran; submit it again")


def test_a_note_of_a_run_that_is_none_counts_for_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(monkeypatch, A)
    for note in ("7", '{"status": "0", "signal": []}', "[" * 100_000, "rubbish"):
        for name in (verdict.EXIT, verdict.LOST, verdict.OOM_KILLS):
            (root / "runs" / A / name).write_text(note)
        assert (
            verdict.judge(root / "runs" / A, verdict.Exit.read(root / "runs" / A), "success")[0] == "failed"
        )


def test_no_job_can_take_the_lock_away(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(root / "runs" / ".lock")
    send(monkeypatch, A)
    assert run_it(A).state == "succeeded"


def test_who_holds_root_up_is_ended(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = root / "muster-job"
    program.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(dispatch.sys, "argv", [str(program)])
    begin = time.monotonic()
    dispatch.as_user("finish", A, verdict.VANISHED, within_s=0.3)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    "name", ["jobs/templates/muster-jobs.service.j2", "lifetime/files/muster-idle.service"]
)
def test_what_root_reads_of_jobs_has_an_end(name: str) -> None:
    assert re.search(r"^TimeoutStartSec=\d+min$", (PROJECT / "roles" / name).read_text(), re.MULTILINE)


def test_a_folder_among_the_notes_does_not_wake_the_queue_for_ever(root: Path) -> None:
    (root / "queue" / f"{A}.submit" / "more").mkdir(parents=True)
    (root / "queue" / "elsewhere").symlink_to(root / "runs")
    assert dispatch._take_notes() == []
    assert list((root / "queue").iterdir()) == []
    assert (root / "runs").is_dir()


class Hdfs:
    """Stands for Hdfs."""

    files: dict[str, bytes]
    gone = False

    def __init__(self, url: str) -> None:
        assert url == "http://master:9870"

    def make_folder(self, path: str) -> None:
        if "locked" in path:
            raise OSError("HDFS refuses\nthis")
        if self.gone:
            raise HdfsGone("the NameNode does not answer")

    def lengths(self, folder: str) -> dict[str, int]:
        return {Path(path).name: 1 for path in self.files if str(Path(path).parent) == folder}

    def write(self, path: str, source: io.BufferedReader, length: int, *, copies: int) -> None:
        assert copies == 2
        self.files[path] = source.read(length)


@pytest.fixture
def hdfs(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    Hdfs.files = {f"/results/{A}/mine": b"of the job"}
    monkeypatch.setattr(results, "Hdfs", Hdfs)
    known = json.loads(records.SETTINGS.read_text()) | {"namenode_url": "http://master:9870", "copies": 2}
    records.SETTINGS.write_text(json.dumps(known))
    return Hdfs.files


def test_results_go_to_hdfs_and_what_the_job_put_there_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch, hdfs: dict[str, bytes]
) -> None:
    entry = "cd $MUSTER_RESULTS; mkdir plots; printf one > plots/a; printf two > b; printf three > mine"
    send(monkeypatch, A, entry=entry)
    assert run_it(A).state == "succeeded"
    assert hdfs == {
        f"/results/{A}/mine": b"of the job",
        f"/results/{A}/b": b"two",
        f"/results/{A}/plots/a": b"one",
    }


LOCKED = "cd $MUSTER_RESULTS; mkdir locked; printf one > locked/a; printf two > b"


def test_results_that_hdfs_does_not_take_fail_the_run_and_keep_no_other_from_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, hdfs: dict[str, bytes]
) -> None:
    send(monkeypatch, A, entry=LOCKED)
    ended = run_it(A)
    lost = "1 of its results are not in HDFS: locked/a (the log says why)"
    assert (ended.state, ended.reason) == ("failed", f"the program ended well, but {lost}")
    assert hdfs[f"/results/{A}/b"] == b"two"
    assert f"{results.LOST}locked/a: HDFS refuses this\n" in (root / "runs" / A / "log").read_text()
    send(monkeypatch, B, entry=f"{LOCKED}; echo bad; exit 1")
    assert run_it(B, "exit-code").reason == f"bad; and {lost}"


def test_hdfs_that_is_gone_is_asked_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, hdfs: dict[str, bytes]
) -> None:
    monkeypatch.setattr(Hdfs, "gone", True)
    send(monkeypatch, A, entry="cd $MUSTER_RESULTS; touch 1 2 3 4 5 6 7")
    reason = "7 of its results are not in HDFS: 1, 2, 3, 4, 5 and 2 more (the log says why)"
    assert run_it(A).reason == f"the program ended well, but {reason}"
    assert (root / "runs" / A / "log").read_text().count("the NameNode does not answer") == 7


def test_names_in_any_letters_go_to_hdfs_and_names_in_none_are_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP, with a NameNode that leaves letters beyond ASCII as they are in the addresses that it tells."""
    server = Server(HdfsHandler)
    known = json.loads(records.SETTINGS.read_text()) | {"namenode_url": server.url, "copies": 2}
    records.SETTINGS.write_text(json.dumps(known))
    make = (
        "cd $MUSTER_RESULTS; mkdir 'sub ☃'; printf z > 'sub ☃/z + 1%.txt'; printf n > naïve; printf p > plain"
    )
    send(monkeypatch, A, entry=f"{make}; printf x > $(printf 'bad\\377')")
    ended = run_it(A)
    server.shutdown()
    assert {name.removeprefix(f"/results/{A}/"): content for name, content in server.files.items()} == {
        "sub ☃/z + 1%.txt": b"z",
        "naïve": b"n",
        "plain": b"p",
    }
    assert ended.reason.startswith("the program ended well, but 1 of its results are not in HDFS: bad\\udcff")


def test_links_among_results(root: Path, monkeypatch: pytest.MonkeyPatch, hdfs: dict[str, bytes]) -> None:
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "big").write_text("big")
    make = (
        "mkdir run1; printf a > run1/a; ln -s run1 latest; ln -s a run1/best; mkfifo pipe; ln -s nothing gone"
    )
    send(monkeypatch, A, entry=f"cd $MUSTER_RESULTS; {make}; ln -s {root}/elsewhere/big {root}/elsewhere .")
    ended = run_it(A)
    assert ended.reason.endswith("1 of its results are not in HDFS: elsewhere (the log says why)")
    copied = {"run1/a": b"a", "run1/best": b"a", "big": b"big"}
    assert hdfs.items() >= {f"/results/{A}/{name}": text for name, text in copied.items()}.items()
    out = io.BytesIO()
    monkeypatch.setattr(cli.sys, "stdout", SimpleNamespace(buffer=out))
    assert cli.main(["bundle", A]) == 0
    out.seek(0)
    unpack(out, root / "elsewhere" / "new", most_files=9, most_bytes=10000)
    found = {path.name: path for path in (root / "elsewhere" / "new").rglob("*") if path.is_file()}
    assert set(found) == {"run.json", "log", "a", "best", "big"}


def test_a_program_that_fails_is_explained(capfd: pytest.CaptureFixture[str]) -> None:
    trace = 'Exception in thread "main" java.io.IOException: no room\n\tat org.apache.A.b(A.java:1)\n\tat org.apache.C.d(C.java:2)'
    assert cli.main(["explain", "sh", "-c", f"echo '{trace}' >&2; exit 3"]) == 3
    assert capfd.readouterr().err.splitlines()[-1] == "java.io.IOException: no room (exit status 3)"
    assert cli.main(["explain", "sh", "-c", "echo fine; echo noted >&2"]) == 0
    told = capfd.readouterr()
    assert (told.out, told.err) == ("fine\n", "noted\n")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("echo '26/11/22 05:51:38 INFO Hook: bye' >&2; echo 'preprocess: none can be read'", "preprocess: none can be read"),
        ("echo progress; sleep 0.1; echo 'no such disk' >&2", "no such disk"),
        ("echo '26/11/22 05:51:38 ERROR TaskSetManager: failed' >&2; echo 'it says why'", "it says why"),
        ("echo 'Traceback (most recent call last):'; echo bye >&2; echo '  File x'; echo 'KeyError: 7'", "KeyError: 7"),
    ],
)  # fmt: skip
def test_the_reason_may_be_in_either_stream(
    capfd: pytest.CaptureFixture[str], said: str, reason: str
) -> None:
    assert cli.main(["explain", "sh", "-c", f"{said}; exit 1"]) == 1
    assert capfd.readouterr().err.splitlines()[-1].startswith(reason)


def test_only_runs_that_may_want_the_same_machine_are_ahead(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = [
        {"name": "w1", "group": "worker", "cores": 2, "memory_mb": 900, "spark": True},
        {"name": "g1", "group": "gpu", "cores": 2, "memory_mb": 900, "spark": False},
    ]
    path = root / "jobs.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"machines": machines}))
    send(monkeypatch, A, on="gpu")
    send(monkeypatch, B, on="worker")
    send(monkeypatch, C)
    assert [other.run for other in records.ahead(C)] == [B]
    assert records.ahead(B) == records.ahead(A) == []
