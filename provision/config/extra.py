"""Names given with Ansible's `-e`: one that nothing knows would be ignored silently, so it is refused."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import yaml
from jinja2 import Environment, nodes

from provision.config.wish import VARIABLES
from provision.core.errors import ConfigError
from provision.core.paths import PROJECT

CLOSE = 0.85
"""How like a public name a lower-case one may be (0 to 1) before it is taken for a slip."""
_ANSIBLE = "ansible_"


class _Names(yaml.SafeLoader):
    """YAML of which only names are wanted: a value with a tag of Ansible's, such as !vault, is None."""


_Names.add_multi_constructor("!", lambda *_: None)


def check_extra_names(given: Iterable[str]) -> None:
    """Check the names that were given with `-e`.

    Upper-case names are this project's alone, so an unknown one is always refused. Lower-case ones may be the
    user's own; refused is the twin of a public name, such as `image_size`, which would count in some places
    only, and one that is not known and like a public name.

    Raises:
        ConfigError: a name is refused; the text has the nearest public one.
    """
    public = sorted(public_names())
    for name in sorted(map(str, given)):
        if name in public or name.startswith(_ANSIBLE):
            continue
        ours = name == name.upper() and name != name.lower()
        close = difflib.get_close_matches(name.upper(), public, n=1, cutoff=0.6 if ours else CLOSE)
        if ours or name.upper() in public or (close and name not in known_names()):
            raise ConfigError(
                file=f"-e {name}",
                what="unknown name",
                remedy=f"Did you mean {close[0]}?" if close else f"Known: {', '.join(public)}",
            )


def public_names() -> set[str]:
    """Return the names that people pass with `-e`: those that group_vars/all/interface.yml asks for."""
    values = _mapping("group_vars/all/interface.yml").values()
    parsed = [Environment(autoescape=True).parse(text) for text in values if isinstance(text, str)]
    asked = {node.name for one in parsed for node in one.find_all(nodes.Name)}
    return {name for name in asked if name == name.upper()} | set(VARIABLES)


def known_names() -> set[str]:
    """Return the lower-case names that group_vars define and that roles document."""
    defined = {name for path in _found("group_vars/**/*.yml") for name in _mapping(path)}
    specs = [_mapping(path) for path in _found("roles/*/meta/argument_specs.yml")]
    entries = [entry for spec in specs for entry in spec.get("argument_specs", {}).values()]
    return defined | {name for entry in entries for name in entry.get("options") or {}}


def _found(pattern: str) -> Iterator[str]:
    return (str(path.relative_to(PROJECT)) for path in PROJECT.glob(pattern))


def _mapping(path: str) -> dict[str, Any]:
    """Return what a file of the project defines; one that is encrypted defines nothing."""
    found = yaml.load((PROJECT / path).read_text(encoding="utf-8"), Loader=_Names)  # noqa: S506  a SafeLoader
    return found if isinstance(found, dict) else {}
