"""The commit of a program that is submitted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provision.jobs.commit import commit_of


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_program_in_a_work_tree_has_a_commit_and_may_differ_from_it(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert commit_of(tmp_path) == ("", False), "no commit yet"
    (tmp_path / "train.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit_of(tmp_path / "train.py") == (head, False)
    (tmp_path / "other.py").touch()
    assert commit_of(tmp_path / "train.py") == (head, False)
    assert commit_of(tmp_path) == (head, True)
    (tmp_path / "train.py").write_text("2")
    assert commit_of(tmp_path / "train.py") == (head, True)


def test_outside_of_one_or_without_git_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path) == ("", False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) == ("", False)
