"""Features: services beyond HDFS and Spark, which run only where the config file switches them on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from provision.core.errors import MusterError


@dataclass(frozen=True)
class Feature:
    """What a feature is made of: roles that are installed on the master, and those on every machine."""

    master: tuple[str, ...]
    nodes: tuple[str, ...] = ()


NOTEBOOK, ENGINES = "notebook", "engines"
FEATURES = {
    "tracking": Feature(master=("tracking",), nodes=("tracking_client",)),
    NOTEBOOK: Feature(master=("notebook",), nodes=(ENGINES,)),
    "launcher": Feature(master=("launcher",)),
}
"""Every feature by its name in the config file; the order is that in which they are installed and started."""


def roles_of(features: Iterable[str], *, master: bool) -> tuple[str, ...]:
    """Return the roles that features install on a machine.

    Args:
        features: names, see FEATURES.
        master: whether it is the cluster's master.
    """
    chosen = [FEATURES[name] for name in features]
    nodes = [role for feature in chosen for role in feature.nodes]
    return tuple(nodes + [role for feature in chosen for role in feature.master if master])


def require(name: str, features: Iterable[str], file: Path | str) -> None:
    """Raise MusterError, saying how, unless a feature is switched on.

    Args:
        name: of the feature, see FEATURES.
        features: those that are switched on.
        file: the config file, as it would be typed.
    """
    if name not in features:
        raise MusterError(
            what=f"the {name} is not switched on",
            where=str(file),
            remedy=f"Write features: [{name}] there and run ./muster up",
        )
