"""The map in docs/architecture.md is the tree, and its floors are what import-linter holds."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.core.paths import PROJECT

PAGE = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOTS = (PROJECT / "provision", PROJECT / "node" / "muster_node")
# A provider's own modules stand in the section about providers; Ansible finds plugins by their files' names.
WHOLE = ("provision/providers/", "provision/plugins/")


def packages() -> Iterator[Path]:
    """The packages that the map shows."""
    for root in ROOTS:
        for marker in sorted(root.rglob("__init__.py")):
            folder = marker.parent
            inner = str(folder.relative_to(PROJECT))
            if root in {folder, folder.parent} or not inner.startswith(WHOLE):
                yield folder


def row(folder: Path) -> str:
    """The line of the table that a package must have."""
    name = str(folder.relative_to(PROJECT)).removeprefix("provision/")
    purpose = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    modules = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("__"))
    inner = sorted(f"{path.parent.name}/" for path in folder.glob("*/__init__.py"))
    shown = " ".join([*modules, *inner])
    return f"| `{name}/` | {' '.join(purpose.splitlines()[0].split())} | {shown} |"


@pytest.mark.parametrize("folder", list(packages()), ids=lambda folder: str(folder.relative_to(PROJECT)))
def test_the_table_has_every_package_with_its_purpose_and_its_modules(folder: Path) -> None:
    assert row(folder) in PAGE.splitlines()


def test_the_table_has_nothing_that_is_gone() -> None:
    told = re.findall(r"^\| `([\w/]+/)` \|", PAGE, re.MULTILINE)
    assert told == [re.findall(r"`(.*?)`", row(folder))[0] for folder in packages()]


def test_the_floors_are_those_that_import_linter_holds() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    held = next(c["layers"] for c in contracts if c["type"] == "layers" and c["containers"] == ["provision"])
    drawn = re.search(r"\n\n((?: {4}[a-z ]+\n)+)", PAGE.split("## The map", 1)[1])
    assert drawn, "no picture of the floors"
    assert [line.split() for line in drawn[1].splitlines()] == [floor.split(" | ") for floor in held]
