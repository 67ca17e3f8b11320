"""What only this provider knows of a config file: `groups.NAME.hosts`, machines that the user has already."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, field_validator

from provision.core.schema import Model, SettingsModel, listed, wrong

_ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_HOST_KEY = re.compile(r"(ssh-ed25519 [A-Za-z0-9+/]{68})( .*)?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


class HostModel(Model):
    """One host. `key`: a private key file ('' = what ssh finds); `private_address`: '' = the same."""

    address: str
    user: str = "root"
    key: str = ""
    host_key: str = ""
    private_address: str = ""
    data_device: str = ""

    @field_validator("address", "private_address")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not _ADDRESS.fullmatch(value):
            raise wrong(f"{value!r} is no address of a machine", "Write it like 192.0.2.10")
        return value

    @field_validator("user")
    @classmethod
    def _user(cls, value: str) -> str:
        if not _USER.fullmatch(value):
            raise wrong(f"{value!r} cannot be a user's name", "Name one who may log in and use sudo")
        if value in ("muster", "hadoop", "hdfs", "spark"):
            raise wrong(f"{value!r} is an account of the cluster's own", "Name another user of the host")
        return value

    @field_validator("host_key")
    @classmethod
    def _host_key(cls, value: str) -> str:
        match = _HOST_KEY.fullmatch(value.strip())
        if value and not match:
            raise wrong(
                "is no host key", "Give the line of /etc/ssh/ssh_host_ed25519_key.pub: ssh-ed25519 AAAA…"
            )
        return match[1] if match else ""

    @field_validator("data_device")
    @classmethod
    def _data_device(cls, value: str) -> str:
        if value and not re.fullmatch(r"/dev/[A-Za-z0-9._/:-]+", value):
            raise wrong(f"{value!r} is no disk", "Give a stable path such as /dev/disk/by-id/…")
        return value


class ExistingGroup(Model):
    """Keys of a group."""

    hosts: Annotated[tuple[HostModel, ...], BeforeValidator(listed)] = ()


class ExistingSettings(ExistingGroup, SettingsModel):
    """A group's keys; there is no block."""
