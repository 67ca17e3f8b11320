"""The parameters of a job: declared once, as a dataclass, and given as words `name=value`.

    @dataclass(frozen=True)
    class Parameters:
        trees: int = option(100, "trees in all", least=1)

    asked = given(Parameters)

The computer that submits reads the same declaration (`python parameters.py trees=5`), so that a mistake is
told before anything is sent.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

Declared = TypeVar("Declared")
HELP = "help"
RESULTS, FILE = "MUSTER_RESULTS", "parameters.json"
YES, NO = frozenset(("true", "yes", "on", "1")), frozenset(("false", "no", "off", "0"))
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


class BadParameter(ValueError):
    """A parameter that is unknown, or whose value cannot be; the text is one line."""


def option(
    default: object,
    text: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: Iterable[object] = (),
    shown: str = "",
) -> Any:  # noqa: ANN401  a field of any type
    """Declare a parameter; its type is the annotation: int, float, bool or str.

    Args:
        default: its value, or a function that returns it when the job starts.
        text: what it is, in a line.
        least: the smallest value.
        most: the largest one.
        choices: all values that it may have.
        shown: how help words the default.
    """
    about = {
        "text": text, "least": least, "most": most, "choices": tuple(choices),
        "shown": shown or ("" if callable(default) else _word(default)),
    }  # fmt: skip
    if callable(default):
        return dataclasses.field(default_factory=default, metadata=about)
    return dataclasses.field(default=default, metadata=about)


def parse(declared: type[Declared], words: Sequence[str]) -> Declared:
    """Return the parameters that words `name=value` give. Raises BadParameter."""
    kinds, about = get_type_hints(declared), _about(declared)
    values: dict[str, object] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise BadParameter(f"{word!r} is no parameter: write name=value (known: {', '.join(about)})")
        if name not in about:
            close = difflib.get_close_matches(name, about, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(about)}"
            raise BadParameter(f"unknown parameter {name!r} ({hint})")
        if name in values:
            raise BadParameter(f"{name} is given twice")
        values[name] = _value(name, text, kinds[name], about[name])
    return declared(**values)


def given(declared: type[Declared]) -> Declared:
    """Return the parameters of this program's command line; wrong ones end it with a line."""
    try:
        asked = parse(declared, sys.argv[1:])
    except BadParameter as error:
        raise SystemExit(str(error)) from error
    note(asked)
    return asked


def note(asked: object) -> None:
    """Write all parameters, defaults included, to parameters.json of the run's results, if it has any."""
    if RESULTS in os.environ:
        told = {each.name: getattr(asked, each.name) for each in dataclasses.fields(asked)}  # type: ignore[arg-type]
        folder = Path(os.environ[RESULTS])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(told, indent=1, default=str) + "\n")


def check(declared: type[object]) -> int:
    """Look at this program's command line: print the table that `help` asks for, or what is wrong with it.

    Returns the exit status.
    """
    if sys.argv[1:] == [HELP]:
        print(table(declared))
        return 0
    try:
        parse(declared, sys.argv[1:])
    except BadParameter as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def table(declared: type[object]) -> str:
    """Return all parameters with their defaults, what they may be and what they are, a line each."""
    rows = [
        (name, f"{about['shown']}", _range(get_type_hints(declared)[name], about), str(about["text"]))
        for name, about in _about(declared).items()
    ]
    rows.insert(0, ("PARAMETER", "DEFAULT", "VALUES", ""))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    cells = ((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]) for row in rows)
    return "\n".join("  ".join(row).rstrip() for row in cells)


def _about(declared: type[object]) -> dict[str, Mapping[str, Any]]:
    return {each.name: each.metadata for each in dataclasses.fields(declared)}  # type: ignore[arg-type]


def _value(name: str, text: str, kind: type, about: Mapping[str, Any]) -> object:
    readers: dict[type, Callable[[str], object]] = {bool: _truth, int: int, float: float, str: str}
    try:
        value = readers[kind](text)
    except ValueError:
        value = math.nan
    within = value in about["choices"] if about["choices"] else _within(value, about)
    endless = isinstance(value, float) and not math.isfinite(value)
    if endless or not within:
        raise BadParameter(f"{name}={text}: has to be {_range(kind, about)}")
    return value


def _within(value: Any, about: Mapping[str, Any]) -> bool:  # noqa: ANN401  a parameter's
    above = about["least"] is None or value >= about["least"]
    below = about["most"] is None or value <= about["most"]
    return bool(above and below)


def _range(kind: type, about: Mapping[str, Any]) -> str:
    if about["choices"]:
        return " | ".join(_word(choice) for choice in about["choices"])
    least, most = about["least"], about["most"]
    if least is not None and most is not None:
        return f"{KINDS[kind]}, {_word(least)} to {_word(most)}"
    if least is not None:
        return f"{KINDS[kind]}, at least {_word(least)}"
    return KINDS[kind] + ("" if most is None else f", at most {_word(most)}")


def _truth(text: str) -> bool:
    if text.lower() not in YES | NO:
        raise ValueError(text)
    return text.lower() in YES


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
