"""Experiments: runs of one job with different parameters, as a file lists them or as a grid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from provision.core.errors import ConfigError
from provision.core.schema import Model
from provision.studies.study_file import Value, program, read, require_sizes, word

MOST = 1000
"""Runs of one file."""


class ExperimentsFile(Model):
    """The file of experiments: every one of `runs` with every combination of `grid`, over `parameters`."""

    job: Annotated[str, Field(min_length=1)]
    parameters: dict[str, Value] = {}
    grid: dict[str, Annotated[list[Value], Field(min_length=1)]] = {}
    runs: list[dict[str, Value]] = []
    image_size: int | None = None


@dataclass(frozen=True)
class Experiment:
    """One run: all its parameters, and those in which it differs from others, as `name` -> text."""

    parameters: dict[str, str]
    own: dict[str, str]

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.own.items()) or "as it is"


@dataclass(frozen=True)
class Experiments:
    """What is tried. `image_size`: pixels a side; None = the size last asked for.

    `program`: the job as `submit` takes it.
    """

    name: str
    job: str
    program: str
    image_size: int | None
    every: tuple[Experiment, ...]

    def key(self, one: Experiment) -> str:
        """Return what a result is known by: another job, size or parameter is another result."""
        said = sorted(f"{name}={value}" for name, value in one.parameters.items())
        return " | ".join([self.job, str(self.image_size or ""), *said])


def load_experiments(path: Path) -> Experiments:
    """Read the file of experiments. Raises ConfigError, in one line."""
    found = read(
        path, ExperimentsFile, keys="`job` and `grid` or `runs`", remedy="docs/studies.md has an example"
    )
    if found.image_size is not None:
        require_sizes(path, "image_size", [found.image_size])
    every = tuple({tuple(sorted(one.parameters.items())): one for one in _every(found)}.values())
    if len(every) > MOST:
        raise ConfigError(file=path, what=f"asks for {len(every)} runs", remedy=f"At most {MOST} at a time")
    return Experiments(path.stem, found.job, program(path, found.job), found.image_size, every)


def _every(found: ExperimentsFile) -> Iterator[Experiment]:
    common = _words(found.parameters)
    for listed, values in itertools.product(found.runs or [{}], itertools.product(*found.grid.values())):
        own = _words({**dict(zip(found.grid, values, strict=True)), **listed})
        yield Experiment({**common, **own}, own)


def _words(values: Mapping[str, Value]) -> dict[str, str]:
    return {name: word(value) for name, value in values.items()}
