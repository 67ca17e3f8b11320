"""Each channel of each image at mean 0 and deviation 1."""

from __future__ import annotations

import numpy
import pytest
from normal import normalise


@pytest.mark.parametrize("channels", [1, 3])
def test_every_channel_of_every_image_counts_by_itself(channels):
    pixels = numpy.random.default_rng(1).integers(0, 256, (5, 48 * channels), dtype=numpy.uint8)
    pixels[0] = pixels[0] // 4 + 100
    done = normalise(pixels, channels).reshape(5, 48, channels)
    assert numpy.abs(done.mean(axis=1)).max() < 1e-5
    assert numpy.abs(done.std(axis=1) - 1).max() < 1e-5
    assert numpy.array_equal(normalise(pixels[2:3], channels)[0], normalise(pixels, channels)[2])


def test_one_value_is_nothing():
    assert not normalise(numpy.full((1, 12), 7), 3).any()


def test_what_are_no_pixels_is_refused():
    with pytest.raises(ValueError, match="reshape"):
        normalise(numpy.zeros((2, 10)), 3)
