"""Builders: what the failures of installing say, where its seconds are kept, and what is told to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.cluster import builders
from provision.core.errors import CommandFailed
from provision.images.recipe import Recipe
from provision.state.timeline import FILE, ConsoleReporter, Timeline, last_run
from tests.fakes.provider import SilentReporter

RECAP = ["", "PLAY RECAP ****", "image-1-master : ok=1 failed=1"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["TASK [x]", "[ERROR]: Task failed: no package a", "Origin: y", "fatal: [n]: FAILED! => "],
            "Task failed: no package a",
        ),
        (
            ["TASK [x]", "fatal: [image-1-master]: the script ended with status 3"],
            "the script ended with status 3",
        ),
    ],
)
def test_the_reason_of_a_failed_bake_is_what_failed_first(lines: list[str], said: str) -> None:
    assert builders.reason(lines + RECAP) == said


def test_what_a_bake_took_is_in_the_timeline_of_the_cluster_that_it_was_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path))
    reporter = ConsoleReporter(lambda _: None)
    with reporter.phase("base image"):
        pass
    made = builders.builder(
        builders.write_config(tmp_path / "image-1.yml", "local", {"cores": 2, "memory_gb": 3}), reporter
    )
    made.state.make_folder()
    made._record()
    with reporter.phase("bake"):
        pass
    reporter.record_in(Timeline(tmp_path / FILE))
    assert [phase["name"] for phase in last_run(tmp_path)] == ["base image", "bake"]


def test_a_set_up_script_stands_in_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody on this computer can read command lines."""
    words: list[str] = []

    def playbook(books: list[str], inventory: Path, extra: dict[str, object], more: list[str]) -> list[str]:
        words.extend([*books, str(inventory), str(extra), *more])
        return ["true"]

    monkeypatch.setattr(builders.programs, "playbook", playbook)
    recipe = Recipe(roles=("base",), setup="echo token-12345")
    builders.install(recipe, tmp_path / "image-1.yml", SilentReporter())
    assert "token-12345" not in " ".join(words)
    given = tmp_path / "image-1.json"
    assert words[-1] == f"@{given}" and "token-12345" in given.read_text()
    assert given.stat().st_mode & 0o777 == 0o600


def test_a_bake_tells_what_each_task_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = "PLAY [Install]\nTASK [java : Install]\nok\nTASK [spark : Install]\nTASK [java : Install]\nPLAY RECAP ***\n"
    monkeypatch.setattr(builders.programs, "playbook", lambda *_: ["printf", output])
    ticks = iter((1.0, 4.0, 5.5, 6.0))
    monkeypatch.setattr(builders.time, "monotonic", lambda: next(ticks))
    took = builders.install(Recipe(roles=("base",)), tmp_path / "image-1.yml", SilentReporter())
    assert took == {"java : Install": 3.5, "spark : Install": 1.5}


def test_a_bake_that_fills_the_disk_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builders.programs, "playbook", lambda *_: ["sleep", "60"])
    monkeypatch.setattr(builders, "WATCH_S", 0.01)
    said = iter(("", "", "the disk is full"))
    with pytest.raises(CommandFailed, match="while the image was made: the disk is full"):
        builders.install(
            Recipe(roles=("base",)), tmp_path / "image-1.yml", SilentReporter(), lambda: next(said)
        )


def test_an_ended_builder_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what its playbook was given."""
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path))
    file = builders.write_config(tmp_path / "image-1.yml", "local", {"cores": 2, "memory_gb": 3})
    file.with_suffix(".json").write_text("{}")
    (tmp_path / "locks").mkdir()
    assert list(builders.left("image-", tmp_path / "locks")) == [file]
    with builders.locked(tmp_path / "locks", "image-1"):
        assert list(builders.left("image-", tmp_path / "locks")) == [], "it is at work"
    builders.end(file, SilentReporter())
    builders.end(file, SilentReporter())
    assert not list(tmp_path.glob("image-1*"))
