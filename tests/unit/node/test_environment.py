"""What a job finds: its program and arguments exactly, one Python, pipes that fail when a part of them does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from muster_node.queue import environment, records
from muster_node.queue.records import Record

RUN = "train-20261122-050001-0001"
ARGUMENTS = ("two words", "it's", "", "--flag=a b", "ü", "$HOME", "*", '"q"', "-5", "a\nb")


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    code = tmp_path / "runs" / RUN / "code"
    code.mkdir(parents=True)
    settings = {"python": sys.executable, "python_path": [], "env": {"LANG": "C.UTF-8"}}
    (tmp_path / "jobs.json").write_text(json.dumps(settings))
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setattr(records, "SETTINGS", tmp_path / "jobs.json")
    return code


def run(code: Path, kind: str, entry: str, args: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    record = Record(run=RUN, name="train", kind=kind, entry=entry, args=args)
    with (code.parent / "log").open("ab") as log:
        known = environment.environ(record, code.parent, log, {})
    command = environment.command(record, code)
    return subprocess.run(command, cwd=code, env=known, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        ("script", "my train; touch hacked #.sh", "printf '%s\\0' \"$@\"\n"),
        ("script", "-x.sh", "printf '%s\\0' \"$@\"\n"),
        ("python", "args (final) ü.py", "import sys; print(*sys.argv[1:], sep='\\0', end='\\0')\n"),
    ],
)
def test_arguments_arrive_as_they_are_whatever_the_program_is_called(
    code: Path, kind: str, name: str, text: str
) -> None:
    (code / name).write_text(text)
    done = run(code, kind, name, ARGUMENTS)
    assert tuple(done.stdout.split("\0")[:-1]) == ARGUMENTS, done.stderr
    assert [path.name for path in code.iterdir()] == [name]


@pytest.mark.parametrize("far", [False, True])
def test_a_run_without_hdfs_is_told_of_no_folder_in_it(code: Path, far: bool) -> None:
    settings = json.loads(records.SETTINGS.read_text())
    records.SETTINGS.write_text(json.dumps({**settings, "far": far}))
    done = run(code, "shell", "echo ${MUSTER_HDFS_RESULTS-none} ${MUSTER_FOLDER-none} ${MUSTER_RESULTS##*/}")
    assert done.stdout.split() == [*(("none", "/data") if far else (f"/results/{RUN}", "none")), "results"]


def test_python_is_the_python_of_jobs(code: Path) -> None:
    done = run(code, "shell", "python -c 'import sys; print(sys.executable)'")
    assert Path(done.stdout.strip()).parent == Path(sys.executable).parent


def test_a_pipe_fails_when_a_part_of_it_fails(code: Path) -> None:
    assert run(code, "shell", "(echo one; exit 3) | cat").returncode == 3
    assert run(code, "shell", "set +o pipefail; (echo one; exit 3) | cat").returncode == 0
