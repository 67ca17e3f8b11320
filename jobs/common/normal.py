"""Pictures of one brightness and contrast: each channel of each image at mean 0 and deviation 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLAT = 1e-6
"""A channel that deviates less is of one value, and becomes 0."""


def normalise(rows: NDArray[numpy.generic], channels: int) -> NDArray[numpy.float32]:
    """Return images with each channel of each at mean 0 and standard deviation 1.

    Args:
        rows: an image a row, its values pixel by pixel with the channels side by side, as in CSV; of a
            picture (height, width, channels) it is `picture.reshape(1, -1)`.
        channels: values a pixel, 1 or 3.

    Raises:
        ValueError: the rows do not divide into pixels.
    """
    pixels = numpy.asarray(rows, dtype=numpy.float32).reshape(len(rows), -1, channels)
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    deviations = centred.std(axis=1, keepdims=True)
    scaled: NDArray[numpy.float32] = numpy.divide(
        centred, deviations, out=numpy.zeros_like(centred), where=deviations > FLAT
    )
    return scaled.reshape(len(rows), -1)
