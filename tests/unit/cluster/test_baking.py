from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provision.cluster.baking import _builder, _builder_file, _reason
from provision.images import recipe
from provision.state.timeline import FILE, ConsoleReporter, Timeline, last_run

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
    assert _reason(lines + RECAP) == said


def test_what_a_bake_took_is_in_the_timeline_of_the_cluster_that_it_was_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_STATE", str(tmp_path))
    reporter = ConsoleReporter(lambda _: None)
    with reporter.phase("base image"):
        pass
    builder = _builder(_builder_file(tmp_path / "image-1.yml", "image-1"), reporter)
    builder.state.make_folder()
    builder._record()
    with reporter.phase("bake"):
        pass
    reporter.record_in(Timeline(tmp_path / FILE))
    assert [phase["name"] for phase in last_run(tmp_path)] == ["base image", "bake"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what images are made from."""
    for name in ("roles", "node", "playbooks", "group_vars"):
        shutil.copytree(recipe.PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("vault.yml"))
    monkeypatch.setattr(recipe, "PROJECT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "bakes"),
    [
        ("node/muster_node/staging.py", False),
        ("node/muster_node/swift_server.py", False),
        ("node/muster_node/stores/base.py", False),
        ("roles/node/tasks/configure.yml", False),
        ("node/muster_node/class_archives.py", True),
        ("node/muster_node/artifacts.py", True),
        ("group_vars/all/artifacts.lock", True),
        ("group_vars/all/versions.yml", True),
        ("roles/node/files/wait-for-port", True),
        ("playbooks/image/install.yml", True),
    ],
)
def test_images_are_baked_again_for_what_is_installed_in_them_alone(
    project: Path, changed: str, bakes: bool
) -> None:
    before = recipe.Recipe(recipe.NODE_ROLES).key, recipe.store_recipe().key
    with (project / changed).open("a") as file:
        file.write("# changed\n")
    assert ((recipe.Recipe(recipe.NODE_ROLES).key, recipe.store_recipe().key) != before) is bakes


def test_the_rings_are_part_of_the_stores_image_alone(project: Path) -> None:
    nodes, store = recipe.Recipe(recipe.NODE_ROLES).key, recipe.store_recipe().key
    with (project / "node/muster_node/swift_rings.py").open("a") as file:
        file.write("# changed\n")
    assert recipe.Recipe(recipe.NODE_ROLES).key == nodes
    assert recipe.store_recipe().key != store
