"""What only this provider knows of a config file: its block, and keys of its groups."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from provision.core.schema import Alternatives, Model, wrong
from provision.providers.address import AddressService

SSH_ADDRESSES = ("auto", "public", "private")
"""`auto`: the public address of machines that have one, else the private one."""


class Ec2Block(AddressService):
    """Amazon EC2. Credentials come from boto3's own chain (profile, environment, instance profile)."""

    region: str = ""
    profile: str = ""
    vpc: str = ""
    subnet: Alternatives = ()
    ssh_address: str = "auto"
    jump_host: str = ""
    instance_profile: str = ""
    image_owner: str = ""
    root_disk_gb: Annotated[int, Field(ge=8, le=16384)] = 20
    tags: dict[str, str] = {}

    @field_validator("ssh_address")
    @classmethod
    def _ssh_address(cls, value: str) -> str:
        if value not in SSH_ADDRESSES:
            raise wrong(f"unknown kind of address {value!r}", f"Known: {', '.join(SSH_ADDRESSES)}")
        return value

    @field_validator("jump_host")
    @classmethod
    def _jump_host(cls, value: str) -> str:
        if value and not re.fullmatch(r"([a-z_][a-z0-9_-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?", value):
            raise wrong(f"{value!r} is no host to log in on", "Write it as in `ssh -J`: user@host or host")
        return value

    @field_validator("tags")
    @classmethod
    def _tags(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name.startswith(("muster:", "aws:")) or name == "Name":
                raise wrong(f"the tag {name!r} is reserved", "Choose another name")
        return value


class Ec2Group(Model):
    """Keys of a group. `spot` with `on_demand`: the latter where no spot machine can be had."""

    instance_type: Alternatives = ()
    region: str = ""
    subnet: Alternatives = ()
    image: str = ""
    spot: bool = False
    on_demand: bool = False
    max_price: Annotated[float, Field(gt=0)] | None = None


class Ec2Settings(Ec2Group, Ec2Block):
    """A group's keys over those of the block."""
