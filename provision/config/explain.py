"""Pydantic's findings as one line each: file, key path, what is wrong, what to do."""

from __future__ import annotations

import difflib
import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from provision.core.errors import ConfigError

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "dict": "a mapping of names to values",
    "model": "a mapping of keys to values",
}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}


def explain(error: ValueError, file: str, top: type[BaseModel]) -> ConfigError:
    """Return the first finding of a ValidationError as a ConfigError."""
    if not isinstance(error, ValidationError):
        return ConfigError(file=file, what=str(error))
    found = error.errors(include_url=False)
    # An unknown key explains other findings (a mistyped `cluster` is also a missing one): it comes first.
    first = min(found, key=lambda entry: entry["type"] != "extra_forbidden")
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    kind, value, context = first["type"], first.get("input"), first.get("ctx", {})
    if kind == "extra_forbidden":
        known = sorted(_keys_at(top, location[:-1]))
        close = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.6)
        remedy = f"Did you mean `{close[0]}`?" if close else f"Known here: {', '.join(known)}"
        return ConfigError(file=file, key=key, what="unknown key", remedy=remedy)
    if kind == "missing":
        return ConfigError(file=file, key=key, what="is missing", remedy=f"Add `{location[-1]}: …`")
    if kind == "muster":
        return ConfigError(file=file, key=key, what=str(context["what"]), remedy=str(context["remedy"]))
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return ConfigError(
            file=file,
            key=key,
            what=f"must be {words} {context[name]}, not {value!r}",
            remedy="Correct the value",
        )
    wanted = _TYPES.get(kind.partition("_")[0])
    if wanted:
        return ConfigError(
            file=file, key=key, what=f"must be {wanted}, not {value!r}", remedy="Correct the value"
        )
    return ConfigError(file=file, key=key, what=str(first["msg"]), remedy="Correct the value")


def _keys_at(top: type[BaseModel], location: Sequence[str]) -> list[str]:
    """Return the keys that the model at `location` knows."""
    model: Any = top
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[part].annotation
        else:  # dict[str, Model]
            model = get_args(model)[-1]
        if get_origin(model) in (Union, types.UnionType):
            model = next(option for option in get_args(model) if option is not type(None))
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
