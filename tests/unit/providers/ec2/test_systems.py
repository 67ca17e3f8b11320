"""What an image's description tells of its system."""

from __future__ import annotations

from typing import Any

import pytest

from provision.providers.ec2.systems import unfit


@pytest.mark.parametrize(
    ("image", "system"),
    [
        ({"Name": "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261020"}, "Ubuntu"),
        ({"Name": "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261001"}, "ubuntu"),
        ({"Name": "debian-12-amd64-20261101-2280"}, "debian-12"),
        ({"Name": "debian-14-amd64-20261101-2280"}, "debian-14"),
        ({"Name": "base", "Description": "Debian 12 (20261101-2280)"}, "Debian 12"),
        ({"Name": "base", "Description": "ours, from bookworm"}, "bookworm"),
        ({"Name": "al2023-ami-2023.9.20261001.0-kernel-6.12-x86_64"}, "al2023"),
        ({"Name": "amzn2-ami-hvm-2.0.20261001-x86_64-gp2"}, "amzn"),
        ({"Name": "ours", "Platform": "windows"}, "windows"),
        ({"Name": "debian-13", "PlatformDetails": "Red Hat Enterprise Linux"}, "Red Hat"),
        ({"Name": "debian-13-amd64-20261018-2269", "PlatformDetails": "Linux/UNIX"}, ""),
        ({"Name": "muster-0123456789abcdef"}, ""),
        ({"Name": "retina", "Description": "[Copied ami-0123 from eu-west-1] our lab's"}, ""),
        ({"Name": "debian-13-made-on-ubuntu"}, ""),
        ({"Name": "almanac"}, ""),
        ({}, ""),
    ],
)
def test_other_systems_are_known_by_their_names(image: dict[str, Any], system: str) -> None:
    assert unfit(image) == system
