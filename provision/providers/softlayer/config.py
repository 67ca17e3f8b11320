"""What only this provider knows of a config file: its block, and keys of its groups."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from provision.core.schema import Alternatives, Model, wrong
from provision.providers.address import AddressService

_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:-]{0,99}")
_SHAPES = {
    "networkComponents": ("[{maxSpeed: 1000}]", {"maxSpeed"}),
    "blockDevices": ("[{device: '0', diskImage: {capacity: 100}}]", {"device", "diskImage"}),
}


class SoftLayerBlock(AddressService):
    """SoftLayer / IBM Cloud Classic. Credentials come from the client's own config file or environment.

    The keys from `startCpus` on are those of the 2015 system, which were the API's own names.
    """

    domain: str = ""
    datacenter: Alternatives = ()
    os: str = ""
    hourly: bool = True
    disk: Literal["san", "local"] = "san"
    root_disk_gb: Annotated[int, Field(ge=1, le=2000)] = 25
    network_speed: Annotated[int, Field(ge=10, le=10000)] = 1000
    private_vlan: Annotated[int, Field(ge=1)] | None = None
    public_vlan: Annotated[int, Field(ge=1)] | None = None
    private_only: bool = False
    security_group: bool = True
    ssh_address: Literal["auto", "public", "private"] = "auto"
    ssh_keys: Alternatives = ()
    tags: list[str] = []
    self_cancel: bool = False
    startCpus: Annotated[int, Field(ge=1, le=512)] | None = None  # noqa: N815
    maxMemory: Annotated[int, Field(ge=1024)] | None = None  # noqa: N815
    hourlyBillingFlag: bool | None = None  # noqa: N815
    operatingSystemReferenceCode: str = ""  # noqa: N815
    localDiskFlag: bool | None = None  # noqa: N815
    networkComponents: list[dict[str, Any]] = []  # noqa: N815
    blockDevices: list[dict[str, Any]] = []  # noqa: N815

    @field_validator("domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        if value and (len(value) > 100 or not _DOMAIN.fullmatch(value)):
            raise wrong(f"{value!r} is no domain", "Write it like example.com, in lower case")
        return value

    @field_validator("tags")
    @classmethod
    def _tags(cls, value: list[str]) -> list[str]:
        for tag in value:
            if not _TAG.fullmatch(tag):
                raise wrong(f"{tag!r} cannot be a tag", "Use letters, digits, spaces and _ . : -")
        return value

    @field_validator("networkComponents", "blockDevices")
    @classmethod
    def _shape(cls, value: list[dict[str, Any]], info: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        example, known = _SHAPES[info.field_name]
        for entry in value:
            image = entry.get("diskImage", {"capacity": 1})
            whole = isinstance(image, dict) and isinstance(image.get("capacity"), int)
            if set(entry) != known or not whole or not isinstance(entry.get("maxSpeed", 1), int):
                raise wrong(f"{entry} is not understood", f"Write it like {example}")
        return value


class SoftLayerGroup(Model):
    """Keys of a group."""

    flavor: str = ""
    datacenter: Alternatives = ()
    image: str = ""


class SoftLayerSettings(SoftLayerGroup, SoftLayerBlock):
    """A group's keys over those of the block."""
