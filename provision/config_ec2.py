"""The config file's block `ec2:`: what only that provider knows."""

from __future__ import annotations

from provision.config_base import Alternatives, Model


class Ec2Model(Model):
    """Amazon EC2. Credentials come from boto3's own chain (profile, environment, instance profile)."""

    region: str = ""
    profile: str = ""
    vpc: str = ""
    subnet: Alternatives = []
    tags: dict[str, str] = {}
