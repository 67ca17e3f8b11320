"""Changing `access` in a config file as a person would: comments and everything else stay as they are.

The text is edited where PyYAML says that the key is. ruamel.yaml's round trip was tried: it indents anew,
moves comments (those behind the block too) and rewrites flow style, `~` and line ends.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import yaml

from provision.config.explain import explain
from provision.config.models import ConfigFile
from provision.core import files
from provision.core.errors import ConfigError

Access = dict[str, str]
_PLAIN = re.compile(r"[A-Za-z0-9+/= @._-]+")


def add_person(config: Path, name: str, key: str) -> None:
    """Put a person into `access` of a config file; the rest of it stays as it is. Raises ConfigError."""
    _change(config, lambda text, root: _with(text, root, name, key), lambda access: {**access, name: key})


def remove_person(config: Path, name: str) -> None:
    """Take a person out of `access` of a config file; the rest of it stays. Raises ConfigError."""
    _change(
        config,
        lambda text, root: _without(text, root, name),
        lambda access: {other: key for other, key in access.items() if other != name},
    )


def _change(
    config: Path, edit: Callable[[str, yaml.MappingNode], str], wanted: Callable[[Access], Access]
) -> None:
    """Edit the text, and write it only when it then says what was wanted and nothing else has changed."""
    text = config.read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    before = yaml.safe_load(text)
    if not isinstance(root, yaml.MappingNode) or root.flow_style or not isinstance(before, dict):
        raise _by_hand(config)
    after = {**before, "access": wanted(before.get("access") or {})}
    try:
        ConfigFile.model_validate(after)
    except ValueError as error:
        raise explain(error, str(config), ConfigFile) from error
    changed = edit(text, root)
    try:
        said = yaml.safe_load(changed)
    except yaml.YAMLError as error:
        raise _by_hand(config) from error
    if {**said, "access": said.get("access") or {}} != after:
        raise _by_hand(config)
    target = config.resolve()
    files.write(target, changed, mode=stat.S_IMODE(target.stat().st_mode))


def _by_hand(config: Path) -> ConfigError:
    return ConfigError(
        file=config,
        key="access",
        what="this file cannot be edited by a program",
        remedy="Change `access` there yourself, then run main.yml",
    )


def _with(text: str, root: yaml.MappingNode, name: str, key: str) -> str:
    access = _find(root, "access")
    if access is None:
        return f"{text.rstrip()}\naccess:\n  {name}: {_scalar(key)}\n"
    label, value = access
    if not isinstance(value, yaml.MappingNode):  # `access:` alone
        at = _line_end(text, label.end_mark.index)
        return f"{text[:at]}\n  {name}: {_scalar(key)}{text[at:]}"
    entry = _find(value, name)
    if value.flow_style:
        kept = [_source(text, *pair) for pair in value.value if pair != entry]
        return _replace(text, value, f"{{{', '.join([*kept, f'{name}: {json.dumps(key)}'])}}}")
    if entry is not None:
        return _replace(text, entry[1], _scalar(key))
    last = value.value[-1]
    at = _last_line_end(text, last[1])
    return f"{text[:at]}\n{' ' * last[0].start_mark.column}{name}: {_scalar(key)}{text[at:]}"


def _without(text: str, root: yaml.MappingNode, name: str) -> str:
    access = _find(root, "access")
    entry = _find(access[1], name) if access else None
    if access is None or entry is None:
        return text
    label, value = access
    if not isinstance(value, yaml.MappingNode):
        return text
    kept = [pair for pair in value.value if pair != entry]
    if value.flow_style:
        return _replace(text, value, f"{{{', '.join(_source(text, *pair) for pair in kept)}}}")
    first, last = entry if kept else (label, entry[1])
    start, end = _line_start(text, first.start_mark.index), _last_line_end(text, last)
    return text[:start] + text[end + 1 :]


def _find(node: yaml.Node, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name:
                return key, value
    return None


def _source(text: str, key: yaml.Node, value: yaml.Node) -> str:
    return text[key.start_mark.index : value.end_mark.index].strip()


def _replace(text: str, node: yaml.Node, new: str) -> str:
    return text[: node.start_mark.index] + new + text[node.end_mark.index :]


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _last_line_end(text: str, node: yaml.Node) -> int:
    """Return the end of a node's last line; the mark of a folded text lies in a line below it."""
    return _line_end(text, len(text[: node.end_mark.index].rstrip()))


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end


def _scalar(key: str) -> str:
    return key if _PLAIN.fullmatch(key) else json.dumps(key)
