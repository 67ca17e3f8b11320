"""What pages say about versions and config keys is what the program knows."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from provision.commands.catalogue import COMMANDS
from provision.config.models import ConfigFile
from provision.core.paths import PROJECT

NO_DEFAULT: tuple[object, ...] = (None, "", [], (), {})


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table after `heading`, header and rule left out."""
    after = page.read_text(encoding="utf-8").split(heading, 1)[1]
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table, f"no table after {heading} in {page}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()][2:]


def models(kind: object) -> Iterator[type[BaseModel]]:
    """The models in a type: of a mapping, a list, or one of several."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in typing.get_args(kind):
        yield from models(part)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """All keys that the validator knows, with their defaults in the words of the table."""
    for name, field in model.model_fields.items():
        inner = list(models(field.annotation))
        if inner:
            part = {dict: "NAME.", tuple: "N."}.get(typing.get_origin(field.annotation), "")
            for one in inner:
                yield from keys(one, f"{prefix}{name}.{part}")
        elif field.default is PydanticUndefined:
            yield prefix + name, "required"
        elif field.default in NO_DEFAULT:
            yield prefix + name, "none"
        else:
            yield prefix + name, f"`{str(field.default).lower()}`"


def test_the_config_table_is_what_the_validator_knows() -> None:
    told = {row[0].strip("`"): row[1] for row in rows(PROJECT / "docs" / "config.md", "## All keys")}
    assert told == dict(keys(ConfigFile))


def test_the_version_table_is_what_is_installed() -> None:
    versions = yaml.safe_load((PROJECT / "group_vars" / "all" / "versions.yml").read_text())["versions"]
    told = {row[0].lower(): row[1] for row in rows(PROJECT / "README.md", "## Versions")}
    assert told == {name: str(version) for name, version in versions.items()}


@pytest.mark.parametrize(
    "page", sorted([PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]), ids=lambda path: path.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_command_named_in_a_page_exists() -> None:
    for page in (PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")):
        for command in re.findall(
            r"(?:^    |`)(?:MUSTER_DEBUG=1 )?\./muster ([a-z]+)", page.read_text(), re.MULTILINE
        ):
            assert command in COMMANDS, f"{page.name}: {command}"
