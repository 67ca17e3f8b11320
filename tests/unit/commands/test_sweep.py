"""./muster sweep and sweep.yml: the plan is shown first, and nothing is done unasked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provision import cli
from provision.core import programs
from provision.core.paths import PROJECT


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line: a cluster that was never started, and a small sweep."""
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    (tmp_path / "pond.yml").write_text("plugin: cluster\ncluster: pond\n")
    (tmp_path / "pond-sweep").mkdir()
    file = tmp_path / "pond-sweep" / "unit-pond.yml"
    file.write_text("sizes: [16, 32]\nshapes: {nodes: [2, 3]}\n")
    return ["-i", str(tmp_path / "pond.yml"), "sweep", str(file)]


def test_the_plan(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, "--plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "unit-pond: 4 runs of logistic_regression on 2 clusters; 3 machine operations, about 50 min, free ("
    )
    assert lines[1:] == ["  2 nodes: 2 runs", "  3 nodes: 2 runs"]


def test_without_a_terminal_it_wants_to_be_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 1
    assert "Say --yes" in capsys.readouterr().err
    assert not (PROJECT / "results" / "sweeps" / "unit-pond").exists(), "something was begun"


def test_the_playbook_shows_the_plan_in_check_mode(words: list[str]) -> None:
    command = programs.playbook(["sweep.yml"], Path(words[1]), {"SWEEP": words[-1]}, ["--check"])
    done = subprocess.run(
        command, cwd=PROJECT, env=programs.playbook_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unit-pond: 4 runs of logistic_regression on 2 clusters" in done.stdout
    assert not (PROJECT / "results" / "sweeps" / "unit-pond").exists()


def test_the_playbook_says_in_one_line_what_is_wrong(words: list[str]) -> None:
    command = programs.playbook(["sweep.yml"], Path(words[1]), {"SWEEP": "none.yml"})
    done = subprocess.run(
        command, cwd=PROJECT, env=programs.playbook_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode
    assert "none.yml: cannot be read: No such file or directory" in done.stdout + done.stderr
