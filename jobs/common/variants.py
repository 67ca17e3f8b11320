"""What a model is given of pictures: normalised, as they are, without what never differs, or from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from classes import BadClasses
from normal import normalise
from numpy.typing import NDArray
from variant_names import NORMAL, SCALED

WHITE = 255


def values(rows: NDArray[np.generic], variant: str, channels: int) -> NDArray[np.float32]:
    """Return pixels as a model takes them; of VARYING all of them, the model itself knows which it takes."""
    if variant == NORMAL:
        return normalise(rows, channels)
    found = rows.astype(np.float32)
    if variant == SCALED:
        found /= WHITE
    return found


def varying(blocks: Iterable[NDArray[np.uint8]]) -> NDArray[np.bool_]:
    """Return which columns are not the same in all rows. Raises BadClasses: all are."""
    low: NDArray[np.uint8] | None = None
    high = low
    for pixels in blocks:
        if not len(pixels):
            continue
        least, most = pixels.min(axis=0), pixels.max(axis=0)
        low = least if low is None else np.minimum(low, least)
        high = most if high is None else np.maximum(high, most)
    if low is None or high is None or not (low < high).any():
        raise BadClasses("no pixel differs from picture to picture: there is nothing to learn")
    return low < high


def box(kept: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return first and last row + 1, first and last column + 1, around what is kept of a picture."""
    rows, columns = np.flatnonzero(kept.any(axis=1)), np.flatnonzero(kept.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
