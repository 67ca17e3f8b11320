"""IMAGE_SIZE: how many pixels a side pictures have, as people give it with -e or --image-size."""

from __future__ import annotations

from muster_node import sets
from provision.core.errors import ConfigError

VARIABLE = "IMAGE_SIZE"


def image_size(given: str | int) -> int:
    """Return a size that data sets come in. Raises ConfigError, with the sizes that there are."""
    for size in sets.SIZES:
        if str(given).strip() == str(size):
            return size
    raise ConfigError(
        file=f"{VARIABLE}={given}",
        what="is not a size of pictures",
        remedy=f"Say one of {' '.join(map(str, sets.SIZES))}",
    )
