from __future__ import annotations

import gzip
import io

import numpy
import pytest
from pictures import (
    CorruptImage,
    PartWriter,
    Recipe,
    crop_border,
    csv_line,
    decode,
    make_square,
    preprocess,
    resize,
)
from PIL import Image


def encoded(pixels: numpy.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def disc(height: int, width: int, radius: int) -> numpy.ndarray:
    """A bright disc in the middle of a black picture, like the photograph of an eye."""
    y, x = numpy.ogrid[:height, :width]
    inside = (y - height // 2) ** 2 + (x - width // 2) ** 2 <= radius**2
    pixels = numpy.zeros((height, width, 3), numpy.uint8)
    pixels[inside] = (200, 120, 60)
    return pixels


def test_border_is_cut_off_within_tolerance():
    pixels = disc(100, 160, 30)
    noisy = pixels + numpy.random.default_rng(1).integers(0, 6, pixels.shape, dtype=numpy.uint8)
    assert crop_border(noisy, 12).shape == (61, 61, 3)
    assert crop_border(noisy, 0).shape[0] > 90, "without tolerance the noise is the picture"


def test_one_colour_stays_as_it_is():
    pixels = numpy.full((5, 7, 1), 9, numpy.uint8)
    assert crop_border(pixels, 0).shape == (5, 7, 1)


def test_square_is_padded_on_both_sides():
    pixels = numpy.full((2, 4, 1), 7, numpy.uint8)
    square = make_square(pixels, numpy.array([1], numpy.uint8))
    assert square[:, :, 0].tolist() == [[1] * 4, [7] * 4, [7] * 4, [1] * 4]


@pytest.mark.parametrize("side", [8, 64, 300])
@pytest.mark.parametrize("channels", [1, 3])
def test_resize_keeps_flat_colours(side, channels):
    flat = resize(numpy.full((side, side, channels), 77, numpy.uint8), 16)
    assert flat.shape == (16, 16, channels) and set(flat.ravel().tolist()) == {77}


@pytest.mark.parametrize(("channels", "values"), [(1, 256), (3, 768)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
def test_rows_have_the_same_length_whatever_the_file(kind, channels, values):
    row = preprocess(encoded(disc(300, 420, 90), kind), Recipe(16, channels))
    assert row.shape == (values,) and row.dtype == numpy.uint8
    middle = row.reshape(16, 16, channels)[8, 8]
    expected = [200, 120, 60] if channels == 3 else [137]
    assert numpy.abs(middle.astype(int) - expected).max() < 8


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "CMYK", "L"])
def test_any_colour_mode_is_read(mode):
    buffer = io.BytesIO()
    Image.new(mode, (10, 10)).save(buffer, "TIFF")
    assert decode(buffer.getvalue(), Recipe(16, 3)).shape == (10, 10, 3)


@pytest.mark.parametrize("content", [b"", b"no picture", encoded(disc(80, 80, 20), "JPEG")[:700]])
def test_a_file_that_is_not_whole_is_corrupt(content):
    with pytest.raises(CorruptImage):
        preprocess(content, Recipe(16))


def test_the_same_lines_give_the_same_bytes():
    def write() -> tuple[bytes, str]:
        writer = PartWriter()
        for label in ("3", "cat"):
            writer.add(csv_line(label, numpy.array([0, 255, 7], numpy.uint8)))
        return writer.finish()

    assert write() == write()
    assert gzip.decompress(write()[0]) == b"3,0,255,7\ncat,0,255,7\n"
