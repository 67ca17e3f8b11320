"""Providers: where machines come from. Each is imported only when a config names it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from provision.core.errors import NotReady
from provision.core.spec import ClusterSpec
from provision.providers.base import Provider

CLASSES = {
    "local": "LocalProvider",
    "existing": "ExistingProvider",
    "softlayer": "SoftLayerProvider",
    "ec2": "Ec2Provider",
}
"""Every provider, in the order that people are told: its folder here -> the class in its provider.py."""

DEFAULT = "local"
"""The provider of a config file that names none."""


def load(name: str, spec: ClusterSpec, notes: Path) -> Provider:
    """Return the provider of that name for one cluster.

    Args:
        name: the provider's.
        spec: the cluster's config.
        notes: the cluster's state folder, where a provider keeps what it must remember.

    Raises:
        NotReady: there is none in this version.
    """
    if name not in CLASSES:
        known = ", ".join(sorted(CLASSES))
        raise NotReady(
            what=f"there is no provider {name!r} in this version", remedy=f"Known providers: {known}."
        )
    made: type[Provider] = getattr(import_module(f"provision.providers.{name}.provider"), CLASSES[name])
    return made(spec, notes)
