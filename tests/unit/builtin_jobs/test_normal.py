"""Each channel of each image at mean 0 and deviation 1."""

from __future__ import annotations

import numpy
import pytest
from normal import features, normalise, normalise_row


@pytest.mark.parametrize("channels", [1, 3])
def test_every_channel_of_every_image_counts_by_itself(channels):
    pixels = numpy.random.default_rng(1).integers(0, 256, (5, 48 * channels), dtype=numpy.uint8)
    pixels[0] = pixels[0] // 4 + 100
    done = normalise(pixels, channels).reshape(5, 48, channels)
    assert numpy.abs(done.mean(axis=1)).max() < 1e-5
    assert numpy.abs(done.std(axis=1) - 1).max() < 1e-5
    assert numpy.array_equal(normalise(pixels[2:3], channels)[0], normalise(pixels, channels)[2])


def test_features_are_pixels_or_normalised_and_what_they_come_of_stays():
    pixels = numpy.random.default_rng(1).integers(0, 256, (5, 12)).astype(numpy.float32)
    before = pixels.copy()
    assert numpy.array_equal(features(pixels, 3), normalise(pixels, 3))
    assert numpy.array_equal(pixels, before)
    plain = features(pixels.astype(numpy.uint8), 0)
    assert plain.dtype == numpy.float32 and numpy.array_equal(plain, pixels)


def test_a_single_row_is_normalised_as_among_others():
    pixels = [0.0, 9.0, 255.0, 7.0, 9.0, 254.0]
    assert normalise_row(pixels, 3) == pytest.approx([-1, 0, 1, 1, 0, -1])


def test_one_value_is_nothing():
    assert not normalise(numpy.full((1, 12), 7), 3).any()


def test_what_are_no_pixels_is_refused():
    with pytest.raises(ValueError, match="reshape"):
        normalise(numpy.zeros((2, 10)), 3)
