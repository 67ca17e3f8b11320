"""Providers: where machines come from. Each is imported only when a config names it."""

from __future__ import annotations

from importlib import import_module

from provision.core.errors import NotReady
from provision.core.model import ClusterSpec
from provision.providers.base import Provider

CLASSES = {
    "local": "provision.providers.local.provider:LocalProvider",
    "existing": "provision.providers.existing:ExistingProvider",
    "softlayer": "provision.providers.softlayer.provider:SoftLayerProvider",
    "ec2": "provision.providers.ec2.provider:Ec2Provider",
}
"""Name in the config file -> module and class."""

SHARED = frozenset({"existing"})
"""Providers whose machines are their owner's: they have other uses, accounts and rules, all of which stay."""


def load(name: str, spec: ClusterSpec) -> Provider:
    """Return the provider of that name, with the settings that a cluster's config file has for it.

    Raises:
        NotReady: there is none in this version.
    """
    if name not in CLASSES:
        known = ", ".join(sorted(CLASSES))
        raise NotReady(
            what=f"there is no provider {name!r} in this version", remedy=f"Known providers: {known}."
        )
    return _class(name)(spec)


def paid(name: str) -> bool:
    """Return False for a provider whose machines nobody is paid for. Raises KeyError for an unknown one."""
    return _class(name).paid


def _class(name: str) -> type[Provider]:
    module, _, attribute = CLASSES[name].partition(":")
    found: type[Provider] = getattr(import_module(module), attribute)
    return found
