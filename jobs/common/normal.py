"""Pictures of one brightness and contrast: each channel of each image at mean 0 and deviation 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
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
    pixels = numpy.array(rows, dtype=numpy.float32).reshape(len(rows), -1, channels)
    pixels -= pixels.mean(axis=1, keepdims=True)
    deviations = pixels.std(axis=1, keepdims=True)
    flat = deviations <= FLAT
    pixels /= numpy.where(flat, 1, deviations)
    pixels *= ~flat
    return pixels.reshape(len(rows), -1)


def normalise_row(values: Sequence[float], channels: int) -> list[float]:
    """Return the values of one image, normalised; see `normalise`."""
    found: list[float] = normalise(numpy.array([values]), channels)[0].tolist()
    return found


def features(rows: NDArray[numpy.generic], channels: int) -> NDArray[numpy.float32]:
    """Return what a model is given of images: their pixels as they are (`channels` 0), or normalised."""
    return normalise(rows, channels) if channels else rows.astype(numpy.float32)
