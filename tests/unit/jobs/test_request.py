"""What a submission means: built-in, file, folder, jar, shell command."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from muster_node.queue.records import new_run_id
from provision.core.errors import BadJob
from provision.jobs.request import make_request

ODD = ("my train; reboot.sh", "args (final).py")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jobs/logistic_regression").mkdir(parents=True)
    (tmp_path / "jobs/logistic_regression/main.py").touch()
    folder = tmp_path / "My Project"
    for name in ("main.py", "helper/__init__.py", ".git/config", "__pycache__/x.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for name in ("train.py", "app.jar", "run.sh", "notes.txt", "requirements.txt", *ODD):
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("job", "kind", "entry", "name"),
    [
        ("logistic_regression", "builtin", "main.py", "logistic_regression"),
        ("train.py", "python", "train.py", "train"),
        ("My Project", "folder", "main.py", "my-project"),
        ("app.jar", "jar", "app.jar", "app"),
        ("run.sh", "script", "run.sh", "run"),
        ("my train; reboot.sh", "script", "my train; reboot.sh", "my-train-reboot"),
        ("args (final).py", "python", "args (final).py", "args-final"),
        ("hdfs dfs -du -h /datasets", "shell", "hdfs dfs -du -h /datasets", "hdfs"),
        ("/usr/bin/du -sh /data", "shell", "/usr/bin/du -sh /data", "du"),
        ("exec nvidia-smi", "shell", "exec nvidia-smi", "exec"),
        (f"echo {'x' * 5000}", "shell", f"echo {'x' * 5000}", "echo"),
    ],
)
def test_kinds(root: Path, job: str, kind: str, entry: str, name: str) -> None:
    request = make_request(job, root=root)
    assert (request.kind, request.entry, request.name) == (kind, entry, name)


def test_a_run_id_is_a_client_token() -> None:
    ids = {new_run_id("logistic_regression") for _ in range(20)}
    assert len(ids) > 1
    assert all(re.fullmatch(r"logistic_regression-\d{8}-\d{6}-[0-9a-f]{4}", each) for each in ids)


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("", "no job was given"),
        ("logistic_regresion", r"neither a built-in job nor a file .* Did you mean logistic_regression\?"),
        ("notes.txt", "this kind of file is not known"),
        ("jobs", "has no main.py"),
        ("no/such file.py", "neither a built-in job nor a file"),
        ("hostname", r"A command of one word: \./muster submit 'exec hostname'"),
    ],
)
def test_what_is_no_job_is_said_in_one_line(root: Path, job: str, words: str) -> None:
    with pytest.raises(BadJob, match=words) as caught:
        make_request(job, root=root)
    assert "\n" not in str(caught.value)


def test_options_that_do_not_fit(root: Path) -> None:
    with pytest.raises(BadJob, match="only a jar"):
        make_request("train.py", root=root, main_class="Main")
    with pytest.raises(BadJob, match="no Python packages"):
        make_request("app.jar", root=root, deps=root / "requirements.txt")
    with pytest.raises(BadJob, match="no such requirements file"):
        make_request("train.py", root=root, deps=root / "none.txt")


def test_what_is_shipped(root: Path) -> None:
    request = make_request("My Project", root=root, args=["--a", "b c"], deps=root / "requirements.txt")
    body = io.BytesIO()
    request.write_archive(body)
    body.seek(0)
    with tarfile.open(fileobj=body) as archive:
        assert sorted(archive.getnames()) == ["code/helper/__init__.py", "code/main.py", "requirements.txt"]
    header = json.loads(request.header("katie"))
    assert header["args"] == ["--a", "b c"] and header["deps"] is True and header["submitter"] == "katie"
