"""Features: services beyond HDFS and Spark, which run only where the config file switches them on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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
