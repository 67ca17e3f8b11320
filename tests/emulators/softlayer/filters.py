"""Object filters and object masks, as the API applies them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Tree = dict[str, "Tree"]


class NotUnderstoodError(Exception):
    """A filter or mask that the API would refuse."""


def matching(things: list[dict[str, Any]], query: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a filter lets through, in the order that it asks for; the outermost key is left out."""
    order: list[tuple[tuple[str, ...], bool]] = []
    tests: list[tuple[tuple[str, ...], Any, Any]] = []
    for path, operation, options in _leaves(query):
        if operation == "orderBy":
            (direction,) = next(option["value"] for option in options if option["name"] == "sort")
            order.append((path, direction == "DESC"))
        else:
            tests.append((path, operation, options))
    found = [thing for thing in things if all(_passes(thing, *test) for test in tests)]
    for path, descending in order:
        found.sort(key=lambda thing: next(_values(thing, path), 0), reverse=descending)
    return found


def masked(thing: Any, mask: Tree, known: Tree) -> Any:
    """Return the part of an object that a mask names; what is not known at all is refused."""
    if isinstance(thing, list):
        return [masked(each, mask, known) for each in thing]
    if not isinstance(thing, dict):
        return thing
    for name in mask:
        if name not in known:
            raise NotUnderstoodError(f"Property '{name}' not valid.")
    return {
        name: masked(thing[name], below, known[name]) if below else thing[name]
        for name, below in mask.items()
        if name in thing
    }


def parse(mask: str) -> Tree:
    """Return `mask[id,status[keyName],datacenter.name]` as a tree."""
    text = re.sub(r"\s", "", mask)
    text = re.sub(r"^mask(?=\[)", "", text)
    if text.startswith("["):
        text = text[1:-1]
    tokens = re.findall(r"[A-Za-z]+|[\[\],.]", text)
    if "".join(tokens) != text:
        raise NotUnderstoodError(f"mask {mask!r}")
    root: Tree = {}
    stack, here = [], root
    last = root
    for index, token in enumerate(tokens):
        if token == "[":
            stack.append(here)
            here = last
        elif token == "]":
            here = stack.pop()
        elif token not in ",.":
            parent = last if index and tokens[index - 1] == "." else here
            last = parent.setdefault(token, {})
    return root


def _leaves(
    query: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    for key, value in query.items():
        if not isinstance(value, Mapping):
            raise NotUnderstoodError(f"filter {'.'.join(path)}: {value!r}")
        if "operation" in value:
            yield (*path, key)[1:], value["operation"], value.get("options", [])
        else:
            yield from _leaves(value, (*path, key))


def _values(thing: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(thing, list):
        for each in thing:
            yield from _values(each, path)
    elif not path:
        yield thing
    elif isinstance(thing, dict) and path[0] in thing:
        yield from _values(thing[path[0]], path[1:])


def _passes(thing: dict[str, Any], path: tuple[str, ...], operation: Any, options: Any) -> bool:
    if isinstance(operation, int):
        return operation in _values(thing, path)
    if operation == "in":
        wanted = next(option["value"] for option in options if option["name"] == "data")
        return any(value in wanted for value in _values(thing, path))
    match = re.fullmatch(r"(_=|\^=|\$=|\*=) (.+)", str(operation))
    if not match:
        raise NotUnderstoodError(f"operation {operation!r}")
    word = match[2].lower()
    comparisons: dict[str, Callable[[str], bool]] = {
        "_=": lambda value: value == word,
        "^=": lambda value: value.startswith(word),
        "$=": lambda value: value.endswith(word),
        "*=": lambda value: word in value,
    }
    compare = comparisons[match[1]]
    return any(compare(str(value).lower()) for value in _values(thing, path))
