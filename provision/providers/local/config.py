"""The config file's block `local:`."""

from __future__ import annotations

import re
from ipaddress import IPv4Network

from pydantic import field_validator

from provision.core.schema import SettingsModel, wrong
from provision.providers.local.helper.registry import PRIVATE

_SUBNET = re.compile(r"([0-9]{1,3}\.){3}0/24")


class LocalBlock(SettingsModel):
    """Machines on this computer."""

    subnet: str | None = None

    @field_validator("subnet")
    @classmethod
    def _subnet(cls, value: str | None) -> str | None:
        if value is not None and not (
            _SUBNET.fullmatch(value) and all(int(part) < 256 for part in value[:-3].split("."))
        ):
            raise wrong(f"{value!r} is no subnet of 256 addresses", "Write it like 10.77.5.0/24")
        if value is not None and not any(IPv4Network(value).subnet_of(IPv4Network(one)) for one in PRIVATE):
            raise wrong(f"{value!r} is no private network", "Write it like 10.77.5.0/24 or 192.168.77.0/24")
        return value
