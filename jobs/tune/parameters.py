"""The parameters of this job, and of the job that it tunes; `python parameters.py help` prints its own.

Words whose name is no parameter of this job are the other job's: `name=value` is given to every trial,
`name=low..high` is searched, and a name that is given several times is a choice.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import space
from options import HELP, BadParameter, option, parse, table

MAXIMIZE, MINIMIZE = "maximize", "minimize"
JOBS = Path(__file__).parent.parent
"""Where the other built-in jobs lie; on the cluster a run has a copy of its own job alone."""


@dataclass(frozen=True)
class Parameters:
    """What is tuned, by what, and where its trials run."""

    job: str = option("cnn", "built-in job that is tuned")
    trials: int = option(20, "that end, pruned ones counted", least=1, most=10000)
    metric: str = option("accuracy", "number of the job's metrics.json that is looked at")
    direction: str = option(MAXIMIZE, "of that number", choices=(MAXIMIZE, MINIMIZE))
    on: str = option("worker", "group of machines, of which each trial gets one")
    parallel: int = option(0, "trials at once; 0: one on each machine of the group", least=0, most=1000)
    cores: int = option(0, "of the machine for a trial, so that several share it; 0: all", least=0)
    memory: float = option(0.0, "GiB of it; 0: in proportion to cores", least=0)
    prune: bool = option(True, "end trials early that are worse than the median at their step")
    retries: int = option(2, "times that a trial is tried again whose machine was lost", least=0, most=100)
    resume: str = option("", "a run of this job: go on with its study", shown="none")
    seed: int = option(2016, "another one draws other parameters", least=0, most=2**31 - 1)


@dataclass(frozen=True)
class Asked:
    """The words of a command line: this job's own, and what is given to or searched for the other job."""

    own: Parameters
    fixed: dict[str, str]
    searched: tuple[space.Dimension, ...]


def read(words: Sequence[str]) -> Asked:
    """Return what words ask for. Raises BadParameter, in one line."""
    names = {each.name for each in fields(Parameters)}
    own = parse(Parameters, [word for word in words if word.partition("=")[0] in names])
    given: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadParameter(f"{word!r} is no parameter: write name=value")
        if name not in names:
            given.setdefault(name, []).append(value)
    try:
        dimensions = {name: space.dimension(name, values) for name, values in given.items()}
    except ValueError as error:
        raise BadParameter(str(error)) from error
    searched = tuple(each for each in dimensions.values() if each)
    if not searched and not own.resume:
        raise BadParameter(
            f"nothing to search: give ranges (dropout=0..0.5) or several values of parameters of {own.job}"
        )
    fixed = {name: given[name][0] for name, found in dimensions.items() if not found}
    return Asked(own, fixed, searched)


def check(words: Sequence[str]) -> int:
    """Look at a command line, and let the other job look at every value; return the exit status."""
    if list(words) == [HELP]:
        print(table(Parameters))
        print("Any other name is a parameter of the job: name=value, name=low..high[:log], or several values")
        return 0
    try:
        asked = read(words)
    except BadParameter as error:
        print(error, file=sys.stderr)
        return 2
    declaration = JOBS / asked.own.job / "parameters.py"
    if asked.own.job == "tune" or not declaration.is_file():
        print(f"job={asked.own.job}: is no built-in job with parameters", file=sys.stderr)
        return 2
    most = max((len(each.edges()) for each in asked.searched), default=1)
    for turn in range(most):  # each value at least once
        tried = {each.name: each.edges()[turn % len(each.edges())] for each in asked.searched}
        line = [f"{name}={value}" for name, value in {**asked.fixed, **tried}.items()]
        done = subprocess.run([sys.executable, str(declaration), *line], check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    raise SystemExit(check(sys.argv[1:]))
