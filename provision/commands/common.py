"""What all commands share: the inventory, the cluster behind it, how progress and results are printed.

Imports at the top are the standard library's and typer's only: `--help` must be quick.
"""

from __future__ import annotations

import difflib
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from provision.core.errors import ConfigError, MusterError, StateError
from provision.core.paths import PROJECT
from provision.core.text import table as table

if TYPE_CHECKING:
    from provision.cluster.cluster import Cluster
    from provision.core.model import ClusterSpec

IMAGE_SIZES = (16, 32, 64, 128, 256)


def examples(*lines: str) -> str:
    """Return the closing part of a help text: one example a line, unwrapped."""
    return "\b\nExamples:\n" + "\n".join(f"  ./muster {line}" for line in lines)


def say(text: str) -> None:
    """Print one line for a person on standard error."""
    typer.echo(text, err=True)


def answer(text: str) -> None:
    """Print a result on standard output."""
    typer.echo(text)


def answer_json(value: Any) -> None:  # noqa: ANN401  (anything that JSON knows)
    """Print a result for a program on standard output."""
    typer.echo(json.dumps(value, indent=2, default=str))


@dataclass(frozen=True)
class Invocation:
    """What was said before the command: the inventory file as given, resolved only when it is needed."""

    given: str

    @property
    def inventory(self) -> Path:
        """The inventory file. Raises ConfigError, with the closest name, when there is no such file."""
        for base in (Path.cwd(), PROJECT):
            path = base / self.given
            if path.is_file():
                return path
        names = {
            str(path.relative_to(PROJECT)): path for path in sorted((PROJECT / "inventories").glob("*.yml"))
        }
        wanted = Path(self.given).stem
        close = difflib.get_close_matches(wanted, [path.stem for path in names.values()], n=1)
        shown = [name for name, path in names.items() if not close or path.stem == close[0]]
        remedy = (
            f"Did you mean -i {shown[0]}?"
            if close
            else f"There are: {', '.join(shown) or 'none yet; ./muster init'}"
        )
        raise ConfigError(file=self.given, what="there is no such inventory file", remedy=remedy)

    def files(self) -> list[Path]:
        """The project's config files, and the given one when it is there and lies elsewhere."""
        found = sorted((PROJECT / "inventories").glob("*.yml"))
        given = [path for base in (Path.cwd(), PROJECT) if (path := base / self.given).is_file()]
        known = {path.resolve() for path in found}
        return found + [path for path in given[:1] if path.resolve() not in known]

    def spec(self, nodes: int | None = None) -> ClusterSpec:
        """The validated config. Raises ConfigError."""
        from provision.config.load import load_config

        return load_config(self.inventory, {} if nodes is None else {"NUM_NODES": nodes})

    def cluster(self, spec: ClusterSpec | None = None) -> Cluster:
        """The cluster of the inventory file (it may not exist yet). Raises ConfigError."""
        from provision.cluster.cluster import Cluster
        from provision.state.timeline import ConsoleReporter

        return Cluster(spec or self.spec(), root=PROJECT, reporter=ConsoleReporter(say))

    def ssh_config(self) -> tuple[str, Path]:
        """The cluster's name and its ssh_config. Raises StateError when the cluster was not started."""
        name = self.spec().name
        path = state_folder(name) / "ssh_config"
        if not path.is_file():
            raise StateError(what=f"the cluster {name} has no machines", remedy="Start it with ./muster up")
        return name, path


def state_folder(cluster: str) -> Path:
    """Return where a cluster's state lies."""
    from provision.core.paths import states_folder

    return states_folder(PROJECT) / cluster


def of(context: typer.Context) -> Invocation:
    """Return what was said before the command."""
    found = context.obj
    if not isinstance(found, Invocation):
        raise TypeError("commands run below the callback that makes the Invocation")
    return found


def waiting(what: str) -> AbstractContextManager[None]:
    """Say what is waited for, and for how long, once it takes more than two seconds."""
    from provision.bootstrap import ticking

    return ticking(what, after_s=2.0)


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal; `yes` = said already. Raises typer.Exit on a no, MusterError without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise MusterError(what="this needs an answer and there is no terminal to ask on", remedy="Say --yes")
    if not typer.confirm(question, err=True):
        say("Nothing was changed.")
        raise typer.Exit(1)


def known_size(value: int | None) -> int | None:
    """Return an image size. Raises typer.BadParameter when the data does not come in it."""
    if value is not None and value not in IMAGE_SIZES:
        raise typer.BadParameter(
            f"{value} is no image size; choose one of {', '.join(map(str, IMAGE_SIZES))}"
        )
    return value


def in_parallel(*calls: Callable[[], Any]) -> list[Any]:
    """Run the calls at the same time; return their results in order. The first error is raised."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def describe(command: Sequence[str]) -> str:
    """Return a command as it would be typed."""
    return shlex.join(command)
