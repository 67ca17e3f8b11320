"""Providers: where machines come from. Each is imported only when a config names it."""

from __future__ import annotations

from importlib import import_module

from provision.errors import NotReady
from provision.model import ClusterSpec
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
    module, _, attribute = CLASSES[name].partition(":")
    provider: Provider = getattr(import_module(module), attribute)(spec)
    return provider
