"""A command runs where no file of this computer is: what needs one is refused, with what to type instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provision.core.errors import BadJob
from provision.jobs.request import make_request


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jobs/hello").mkdir(parents=True)
    (tmp_path / "jobs/hello/main.py").touch()
    (tmp_path / "code").mkdir()
    for name in ("train.py", "my train.py", "code/train.py", "run.sh", "rows.csv", "hdfs", "conf.yml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("python train.py --epochs 3", "train.py: is a file on this computer, .* ./muster submit train.py -- --epochs 3"),
        ("python3 train.py", "./muster submit train.py"),
        ("train.py --epochs 3", "./muster submit train.py -- --epochs 3"),
        ("./train.py --epochs 3", "./muster submit ./train.py -- --epochs 3"),
        ("code/train.py a", "./muster submit code/train.py -- a"),
        ("python 'my train.py' 'a b' ''", "./muster submit 'my train.py' -- 'a b' ''"),
        ("bash run.sh", "./muster submit run.sh"),
        ("python -m train --epochs 3", "train.py: is a file .* Submit train.py itself, its arguments after --"),
        ("python3 -m code.train", "Submit code/train.py itself"),
        ("python3 train.py | tee out.txt", "Submit train.py itself, its arguments after --, or a folder with main.py"),
        ("cd /data;python train.py", "Submit train.py itself"),
        ("python train.py rows.csv", "train.py, rows.csv: are files .* a folder with main.py, which takes all of them"),
        ("spark-submit --files=conf.yml /opt/x.py", "--files=conf.yml: is a file"),
        ("hdfs dfs -put rows.csv /tmp", "./muster put FILE hdfs:/PATH"),
        ("hdfs dfs -put <rows.csv /tmp", "./muster put FILE"),
    ],
)  # fmt: skip
def test_a_command_that_needs_files_of_this_computer(root: Path, job: str, words: str) -> None:
    with pytest.raises(BadJob) as caught:
        make_request(job, root=root)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_program_by_its_whole_path(root: Path) -> None:
    with pytest.raises(BadJob, match=f"submit {root}/train.py -- 3"):
        make_request(f"python {root}/train.py 3", root=root)


@pytest.mark.parametrize(
    "job",
    [
        "hdfs dfs -du -h /datasets",  # `hdfs` is looked up on PATH, whatever is called so here
        "cat /etc/passwd",  # the master's
        "ls code",  # a folder's name is any word
        "python -c 'print(1)'",
        "python -m pip list",
        "echo it's",  # an open quote is bash's business
        f"echo {'y' * 3000}",
    ],
)
def test_other_commands_pass(root: Path, job: str) -> None:
    assert make_request(job, root=root).entry == job
