"""Which changes of the project make a new image necessary."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provision.images import recipe
from tests.fakes.provider import spec


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what images are made from."""
    for name in ("roles", "node", "playbooks", "group_vars"):
        shutil.copytree(recipe.PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("vault.yml"))
    shutil.copy(recipe.PROJECT / "requirements-node.txt", tmp_path)
    monkeypatch.setattr(recipe, "PROJECT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "bakes"),
    [
        ("node/muster_node/staging/program.py", False),
        ("node/muster_node/swift_server.py", False),
        ("node/muster_node/stores/base.py", False),
        ("roles/node/tasks/configure.yml", False),
        ("node/muster_node/class_archives.py", True),
        ("node/muster_node/artifacts.py", True),
        ("group_vars/all/artifacts.lock", True),
        ("requirements-node.txt", True),
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


def test_images_are_baked_again_when_more_is_taken_out_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe.store_recipe().key
    monkeypatch.setattr(recipe, "OF_ONE_MACHINE", (*recipe.OF_ONE_MACHINE, "etc/secret"))
    assert recipe.store_recipe().key != before


def test_the_rings_are_part_of_the_stores_image_alone(project: Path) -> None:
    nodes, store = recipe.Recipe(recipe.NODE_ROLES).key, recipe.store_recipe().key
    with (project / "node/muster_node/swift_rings.py").open("a") as file:
        file.write("# changed\n")
    assert recipe.Recipe(recipe.NODE_ROLES).key == nodes
    assert recipe.store_recipe().key != store


def test_services_wait_for_nothing_that_only_jobs_need() -> None:
    given = recipe.Recipe(recipe.NODE_ROLES).as_variable()
    assert given["first"] + given["later"] == list(recipe.NODE_ROLES)
    assert given["first"][-2:] == ["hdfs", "spark"] and set(given["later"]) == {"deep_learning", "dataset"}
    assert recipe.store_recipe().as_variable()["later"] == []


def test_features_lie_over_the_image_that_everybody_has() -> None:
    plain = recipe.Recipe(recipe.NODE_ROLES)
    featured = recipe.Recipe(recipe.NODE_ROLES, features=("tracking",))
    assert plain.beneath is None and plain.as_variable()["beneath"] == ""
    assert featured.beneath == plain and featured.as_variable()["beneath"] == plain.key != featured.key


def test_only_masters_have_a_features_server() -> None:
    made = spec(features=("tracking", "notebook"))
    assert recipe.node_recipe(made, made.group("master")).features == (
        "tracking_client", "engines", "tracking", "notebook",
    )  # fmt: skip
    assert recipe.node_recipe(made, made.group("worker")).features == ("tracking_client", "engines")
