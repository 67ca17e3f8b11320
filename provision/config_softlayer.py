"""The config file's block `softlayer:`: what only that provider knows."""

from __future__ import annotations

from provision.config_base import Alternatives, Model


class SoftLayerModel(Model):
    """SoftLayer / IBM Cloud Classic. Credentials come from the client's own config file or environment."""

    domain: str = ""
    datacenter: Alternatives = []
    tags: list[str] = []
