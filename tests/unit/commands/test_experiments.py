"""./muster experiments: the plan is shown first, nothing is done unasked, and what is wrong is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision import cli
from provision.core.paths import PROJECT

CONFIG = "plugin: cluster\ncluster: pond\ngroups: {experiment: {cores: 2}}\n"


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line: a cluster that was never started, and a small grid."""
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path / "state"))
    (tmp_path / "pond.yml").write_text(CONFIG)
    (tmp_path / "grid").mkdir()
    file = tmp_path / "grid" / "unit-pond.yml"
    file.write_text("job: cnn\ngrid: {network: [small, mlp]}\n")
    return ["-i", str(tmp_path / "pond.yml"), "experiments", str(file)]


def test_the_plan(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, "--machines", "3", "--plan"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "unit-pond: 2 of 2 runs of cnn on 2 machines",
        "  network=small",
        "  network=mlp",
    ]


def test_without_a_terminal_it_wants_to_be_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 1
    assert "Say --yes" in capsys.readouterr().err
    assert not (PROJECT / "results" / "experiments" / "unit-pond").exists(), "something was begun"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("pond.yml", "plugin: cluster\ncluster: pond\n", "no group experiment in pond.yml says what"),
        ("grid/unit-pond.yml", "job: cnn\ngrid: {network: [tiny]}\n", "network=tiny: has to be small"),
        ("grid/unit-pond.yml", "job: cnnn\n", "Did you mean cnn?"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    assert cli.main([*words, "--plan"]) == 1
    told = capsys.readouterr().err
    assert said in told and len(told.strip().splitlines()) == 1
