"""What was said before the command: the inventory file, and the cluster behind it.

Imports at the top are the standard library's and typer's only: `--help` must be quick.
"""

from __future__ import annotations

import difflib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from provision.commands.output import say
from provision.core.errors import ConfigError, StateError
from provision.core.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.cluster.cluster import Cluster
    from provision.cluster.view import ClusterView
    from provision.core.spec import ClusterSpec
    from provision.state.folder import State


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

    def spec(self, wish: Mapping[str, Any] | None = None) -> ClusterSpec:
        """The validated config, with what is wished as with `-e` (see `wish`). Raises ConfigError."""
        from provision.config.load import load_config

        return load_config(self.inventory, wish)

    def cluster(self, spec: ClusterSpec | None = None) -> Cluster:
        """The cluster of the inventory file (it may not exist yet). Raises ConfigError."""
        from provision.cluster.open import open_cluster
        from provision.state.timeline import ConsoleReporter

        return open_cluster(spec or self.spec(), root=PROJECT, reporter=ConsoleReporter(say))

    def view(self, spec: ClusterSpec | None = None) -> ClusterView:
        """The cluster to look at only, which needs less of Muster than one to change. Raises ConfigError."""
        from provision.cluster.view import ClusterView

        return ClusterView(spec or self.spec(), root=PROJECT)

    def started(self) -> State:
        """The state of the cluster. Raises StateError when it has no machines."""
        from provision.ssh.files import ssh_config
        from provision.state.folder import State

        state = State(state_folder(self.spec().name))
        if not state.ssh_config.is_file():
            raise StateError(
                what=f"the cluster {state.cluster} has no machines", remedy="Start it with ./muster up"
            )
        ssh_config(state)
        return state


def state_folder(cluster: str) -> Path:
    """Return where a cluster's state lies."""
    from provision.core.paths import states_folder

    return states_folder(PROJECT) / cluster


def invocation_of(context: typer.Context) -> Invocation:
    """Return what was said before the command."""
    found = context.obj
    if not isinstance(found, Invocation):
        raise TypeError("commands run below the callback that makes the Invocation")
    return found


def config_named(invocation: Invocation, name: str) -> ClusterSpec:
    """Return the config of the cluster `name`. Raises ConfigError when no file is for it."""
    from provision.fleet import overview

    specs, problems = overview.configs(invocation.files())
    for spec in specs:
        if spec.name == name:
            return spec
    raise ConfigError(
        file=problems[0] if problems else "inventories/",
        what=f"no config file is for a cluster called {name}",
        remedy=f"Copy its file here, or make one with ./muster init {name}, and name it with -i",
    )


def shown(path: Path) -> str:
    """Return a path as it would be typed."""
    return shlex.quote(str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path))
