"""Pydantic's findings as one line each: file, key path, what is wrong, what to do."""

from __future__ import annotations

import difflib
import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from provision.core.errors import ConfigError
from provision.providers import CLASSES
from provision.providers.facts import facts_of

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
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
    in_group = location[:1] == ["groups"] and len(location) > 2
    provider = location.pop(2) if in_group else ""  # by which the keys are known that it may have
    key = ".".join(location)
    kind, value, context = first["type"], first.get("input"), first.get("ctx", {})
    if kind == "extra_forbidden":
        known = sorted(_keys_at(top, location[:-1], provider))
        at = provider if len(location) == 3 else ""
        what, remedy = _unknown(location[-1], known, at)
        return ConfigError(file=file, key=key, what=what, remedy=remedy)
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


def _unknown(key: str, known: Sequence[str], provider: str) -> tuple[str, str]:
    """Return what is wrong with a key, and what to do. `provider`: of the group that has it, '' elsewhere."""
    foreign = {
        name: other
        for other in (CLASSES if provider else ())
        for name in facts_of(other).group.model_fields
        if name not in known
    }
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if key in foreign:
        what = f"a key of groups at {foreign[key]}, and this group is at {provider}"
        return what, f"Did you mean `{close[0]}`?" if close else "Take it out, or change the group's provider"
    if close:
        return "unknown key", f"Did you mean `{close[0]}`?"
    if far := difflib.get_close_matches(key, foreign, n=1, cutoff=0.6):
        return "unknown key", f"Did you mean `{far[0]}`, a key of groups at {foreign[far[0]]}?"
    return "unknown key", f"Known here: {', '.join(known)}"


def _keys_at(top: type[BaseModel], location: Sequence[str], provider: str) -> list[str]:
    """Return the keys that the model at `location` knows. `provider`: of the group that this is in."""
    model: Any = top
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[part].annotation
        else:  # dict[str, Model] or a tuple of models
            model = next(kind for kind in get_args(model) if kind is not Ellipsis and kind is not str)
        if get_origin(model) is Annotated:
            model = get_args(model)[0]
        if get_origin(model) in (Union, types.UnionType):
            model = _one_of(get_args(model), provider)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _one_of(kinds: Sequence[Any], provider: str) -> Any:  # noqa: ANN401  (types)
    """Return the kind that is tagged with the provider, else the first that is not None."""
    for kind in kinds:
        if get_origin(kind) is Annotated and Tag(provider) in get_args(kind):
            return get_args(kind)[0]
    return next(kind for kind in kinds if kind is not type(None))
