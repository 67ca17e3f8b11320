"""What the description of an image tells of its operating system: nodes run Debian 13."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

WANTED = re.compile(r"debian[-_ ]?(?:gnu/linux )?13(?!\d)|trixie", re.IGNORECASE)
OTHERS = re.compile(
    r"ubuntu|windows|amazon linux|amzn|\bal2(?:023)?(?![a-z0-9])|red hat|rhel|suse|\bsles|centos|fedora"
    r"|oracle|\brocky|\balma(?:linux|[-_ ])|freebsd|bottlerocket"
    r"|debian[-_ ]?(?:gnu/linux )?\d+|buster|bullseye|bookworm|forky",
    re.IGNORECASE,
)


def unfit(image: Mapping[str, Any]) -> str:
    """Return the name of the other system that an image plainly has; '' when it may be Debian 13.

    Args:
        image: as DescribeImages tells it.
    """
    platform = str(image.get("Platform") or image.get("PlatformDetails") or "")
    if found := OTHERS.search(platform):
        return found[0]
    told = " ".join(str(image.get(key, "")) for key in ("Name", "Description"))
    found = OTHERS.search(told)
    return found[0] if found and not WANTED.search(told) else ""
