"""The files of studies: YAML that a model of pydantic accepts."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml

from muster_node import sets
from provision.config.explain import explain
from provision.core.errors import ConfigError
from provision.core.schema import Model

LARGEST_BYTES = 1 << 20
Value = str | int | float | bool
"""What a parameter of a job can be in a file."""
Kind = TypeVar("Kind", bound=Model)


def program(path: Path, job: str) -> str:
    """Return a job as `submit` takes it: a path is meant from the folder of the study's file, at `path`."""
    return str(path.parent / job) if "/" in job else job


def read(path: Path, model: type[Kind], *, keys: str, remedy: str) -> Kind:
    """Read the file of a study.

    Args:
        path: of the file.
        model: what it has.
        keys: what it must have, in words.
        remedy: said beside that.

    Raises:
        ConfigError: in one line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text) if len(text) < LARGEST_BYTES else None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file=path, what=f"cannot be read: {getattr(error, 'strerror', error)}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(file=path, what=f"not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(file=path, what=f"is no mapping with {keys}", remedy=remedy)
    try:
        return model.model_validate(data)
    except ValueError as error:
        raise explain(error, str(path), model) from error


def require_sizes(path: Path, key: str, sizes: list[int]) -> None:
    """Raise ConfigError when pictures do not come in one of these sizes (pixels a side)."""
    if unknown := set(sizes) - set(sets.SIZES):
        raise ConfigError(
            file=path,
            key=key,
            what=f"{min(unknown)} is no size of pictures",
            remedy=f"Known: {', '.join(map(str, sets.SIZES))}",
        )


def word(value: Value) -> str:
    """Return a value as it is typed behind `name=`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
