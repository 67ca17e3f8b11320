"""What pyproject.toml asks for, what the locks hold and what the package imports are the same."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from provision.core.paths import PROJECT

ASKED = tomllib.loads((PROJECT / "pyproject.toml").read_text())
RUN = [Requirement(text) for text in ASKED["project"]["dependencies"]]
GROUPS = ASKED["dependency-groups"]


def group(name: str) -> Iterator[Requirement]:
    for entry in GROUPS[name]:
        if isinstance(entry, str):
            yield Requirement(entry)
        else:
            yield from group(entry["include-group"])


OURS = {"provision", "muster_node", "helper"}
LOCKS = {
    "requirements.txt": [*RUN, *group("build")],
    "requirements-dev.txt": [*RUN, *group("build"), *group("dev")],
    "requirements-installer.txt": list(group("installer")),
    "requirements-node.txt": list(group("node")),
    "roles/engines/files/requirements.txt": list(group("engines")),
    "roles/notebook/files/requirements.txt": list(group("notebook")),
    "jobs/tune/requirements.txt": list(group("tune")),
    "roles/launcher/files/requirements.txt": list(group("launcher")),
    "roles/tracking/files/requirements.txt": list(group("tracking")),
    "roles/tracking_client/files/requirements.txt": list(group("tracking_client")),
    "tests/strangers/requirements.txt": list(group("strangers")),
}


def locked(name: str) -> dict[tuple[str, str], str]:
    """(package, marker) -> the text of its entry: hashes, and who wants it."""
    text = (PROJECT / name).read_text()
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    found = {}
    for entry in entries:
        if entry.strip() and not entry.startswith("#"):
            requirement = Requirement(entry.split("\\\n")[0])
            found[canonicalize_name(requirement.name), str(requirement.marker)] = entry
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_what_is_asked_for_and_nothing_else(name: str) -> None:
    wanted = {canonicalize_name(one.name): one for one in LOCKS[name]}
    direct = {package for (package, _), entry in locked(name).items() if "muster (pyproject.toml" in entry}
    assert direct == set(wanted), "lock it again: docs/contributing.md"
    for (package, _), entry in locked(name).items():
        (version,) = re.findall(r"^[^=]+==(\S+)", entry)
        if package in wanted:
            assert Version(version) in wanted[package].specifier, f"{package}: see docs/contributing.md"


@pytest.mark.parametrize("name", LOCKS)
def test_everything_locked_is_pinned_and_has_hashes(name: str) -> None:
    for entry in locked(name).values():
        assert re.match(r"[a-z0-9.-]+==\S+ ", entry)
        assert "--hash=sha256:" in entry
    assert "://" not in (PROJECT / name).read_text()


def test_the_tests_run_with_the_versions_that_users_and_nodes_have() -> None:
    names = ("requirements.txt", "requirements-node.txt", "roles/engines/files/requirements.txt")
    run, nodes, engines = ({entry.split()[0] for entry in locked(name).values()} for name in names)
    test = {entry.split()[0] for entry in locked("requirements-dev.txt").values()}
    assert run <= test
    assert engines <= test
    only_there = {one.partition("==")[0] for one in nodes - test}
    assert only_there <= {"setuptools"}, "which pbr wants where Python is newer"


@pytest.mark.parametrize(
    "requirement",
    [
        *RUN,
        *group("installer"),
        *group("build"),
        *group("dev"),
        *group("node"),
        *group("engines"),
        *group("notebook"),
        *group("tune"),
        *group("tracking"),
        *group("strangers"),
    ],
    ids=lambda one: one.name,
)
def test_every_requirement_has_an_upper_bound(requirement: Requirement) -> None:
    assert any(one.operator in ("<", "<=", "==") for one in requirement.specifier)


def test_everything_that_is_imported_is_asked_for() -> None:
    asked = {canonicalize_name(one.name) for one in RUN} | {
        "pydantic-core"
    }  # pydantic wants one version of it
    known = packages_distributions()
    for path in (PROJECT / "provision").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for module in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
                given = {canonicalize_name(one) for one in known.get(module, ())}
                typing_only = module.startswith("mypy_boto3")
                assert typing_only or given & {*asked, "muster"} or module in OURS, f"{path}: {module}"
