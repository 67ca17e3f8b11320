"""The image list that moto reads from a file (MOTO_AMIS_PATH), and own images for baked layers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ACCOUNT = "123456789012"
DEBIAN = "ami-0deb1300000000001"
DEBIAN_BEFORE = "ami-0deb1300000000000"
DEBIAN_ARM = "ami-0deb13000000000a4"
NVIDIA = "ami-0dea1ea2000000001"


def write(path: Path, recipes: Iterable[str] = ()) -> Path:
    """Write the list; `recipes` are the keys of layers for which there are own images."""
    images = [
        _image(DEBIAN, "debian-13-amd64-20261018-2269", "136693071363", "2026-10-18"),
        _image(DEBIAN_BEFORE, "debian-13-amd64-20260711-2190", "136693071363", "2026-07-11"),
        _image(DEBIAN_ARM, "debian-13-arm64-20261018-2269", "136693071363", "2026-10-18", architecture="arm64"),
        _image("ami-0deb1200000000001", "debian-12-amd64-20261101-2280", "136693071363", "2026-11-01"),
        _image("ami-0ebadebadebadebad", "debian-13-amd64-29991231-1", "666666666666", "2026-11-20"),  # a stranger's
        _image(NVIDIA, "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) 20261020", "898082745236", "2026-10-20"),
    ]  # fmt: skip
    for recipe in recipes:
        for mark, gpu in (("0", "false"), ("1", "true")):
            tags = {"muster:recipe": recipe, "muster:gpu": gpu}
            images.append(
                _image(f"ami-{mark}{recipe}", f"muster-{recipe}-{mark}", ACCOUNT, "2026-11-10", tags=tags)
            )
    path.write_text(json.dumps(images, indent=1))
    return path


def _image(ami_id: str, name: str, owner: str, created: str, **more: Any) -> dict[str, Any]:
    return {
        "ami_id": ami_id,
        "name": name,
        "description": name,
        "owner_id": owner,
        "public": True,
        "virtualization_type": "hvm",
        "architecture": "x86_64",
        "state": "available",
        "creation_date": f"{created}T00:00:00.000Z",
        "image_type": "machine",
        "hypervisor": "xen",
        "root_device_name": "/dev/xvda",
        "root_device_type": "ebs",
        "tags": {},
        **more,
    }
