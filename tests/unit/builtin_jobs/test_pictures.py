from __future__ import annotations

import io

import numpy
import pytest
from decoding import CorruptImage
from pictures import Recipe, augment, crop_border, make_square, prepare, resize
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
    flat = resize(numpy.full((side, side, channels), 77, numpy.uint8), [16])[16]
    assert flat.shape == (16, 16, channels) and set(flat.ravel().tolist()) == {77}


@pytest.mark.parametrize(("channels", "values"), [(1, 256), (3, 768)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF"])
def test_rows_have_the_same_length_whatever_the_file(kind, channels, values):
    prepared = prepare(encoded(disc(300, 420, 90), kind), Recipe("plain", (16,), channels))
    picture = prepared.pictures[16]
    assert picture.shape == (16, 16, channels) and picture.size == values and picture.dtype == numpy.uint8
    assert abs(prepared.master.shape[0] - 181) < 20
    middle = picture[8, 8]
    expected = [200, 120, 60] if channels == 3 else [137]
    assert numpy.abs(middle.astype(int) - expected).max() < 8


@pytest.mark.parametrize("content", [b"", b"no picture", encoded(disc(80, 80, 20), "JPEG")[:700]])
def test_a_file_that_is_not_whole_is_corrupt(content):
    with pytest.raises(CorruptImage):
        prepare(content, Recipe("plain", (16,)))


def test_a_long_picture_is_padded_within_bounds():
    """One row of pixels, 100,000 long: a square of that side would be 10 GB."""
    prepared = prepare(encoded(numpy.full((1, 100_000), 200, numpy.uint8)), Recipe("plain", (16,), 1))
    assert prepared.pictures[16].shape == (16, 16, 1)


def averaged(pixels: numpy.ndarray, size: int) -> numpy.ndarray:
    """A square picture at `size`, each pixel the mean of the area that it covers."""
    side = pixels.shape[0]
    ends, ones = numpy.arange(size + 1) * side / size, numpy.arange(side)
    covered = numpy.minimum(ends[1:, None], ones + 1) - numpy.maximum(ends[:-1, None], ones)
    share = covered.clip(0) * size / side
    return numpy.einsum("si,ijc,tj->stc", share, pixels.astype(float), share, optimize=True)


@pytest.mark.parametrize("side", [2048, 1037, 791])
def test_every_size_is_the_average_of_what_it_covers(side):
    pixels = smooth(side)
    made = resize(pixels, (16, 96, 64, 256, 32, 128))
    assert list(made) == [16, 96, 64, 256, 32, 128]
    for size, picture in made.items():
        apart = numpy.abs(picture - averaged(pixels, size))
        assert apart.mean() < 0.5 and apart.max() <= 2, size


@pytest.mark.parametrize("side", [1037, 200, 8])
def test_a_size_is_the_same_whatever_others_are_asked_for(side):
    content = encoded(smooth(side), "JPEG")
    together = prepare(content, Recipe("plain", (256, 64, 16))).pictures
    for size, picture in together.items():
        alone = prepare(content, Recipe("plain", (size,))).pictures[size]
        assert numpy.array_equal(picture, alone) and picture.shape == (size, size, 3)


def smooth(side: int) -> numpy.ndarray:
    """A square picture of soft spots in all colours."""
    spots = numpy.random.default_rng(1).integers(0, 256, (13, 13, 3), dtype=numpy.uint8)
    return numpy.asarray(Image.fromarray(spots).resize((side, side), Image.Resampling.BICUBIC))


def test_an_eye_fills_the_square_and_what_is_none_is_plain():
    pixels = numpy.full((600, 900, 3), 1, numpy.uint8)
    pixels[60:540, 150:750] = disc(480, 600, 235)
    prepared = prepare(encoded(pixels), Recipe("eye", (64, 16)))
    assert abs(prepared.master.shape[0] - 471) < 6
    assert prepared.notes == () and list(prepared.pictures) == [64, 16]
    picture = prepared.pictures[64]
    assert picture[32, 2].max() > 150 and picture[1, 1].max() < 20
    other = numpy.zeros((600, 900, 3), numpy.uint8)
    other[100:500, 200:700] = 120
    fallen_back = prepare(encoded(other), Recipe("eye", (16,)))
    assert fallen_back.notes == ("no disc found: border cropped",)
    assert fallen_back.master.shape == (500, 500, 3)


@pytest.mark.parametrize(
    ("pixels", "kind", "notes"),
    [
        (numpy.full((90, 90, 3), 7, numpy.uint8), "plain", ("one colour",)),
        (numpy.zeros((90, 90, 3), numpy.uint8), "eye", ("no disc found: border cropped", "one colour")),
        (disc(150, 200, 60), "eye", ("disc of only 120 pixels",)),
    ],
)
def test_what_a_person_should_know_is_noted(pixels, kind, notes):
    assert prepare(encoded(pixels), Recipe(kind, (256,))).notes == notes


def test_what_is_transparent_is_paper_and_around_eyes_black():
    ink = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ink.paste((90, 0, 0, 255), (20, 20, 44, 44))
    buffer = io.BytesIO()
    ink.save(buffer, "PNG")
    assert prepare(buffer.getvalue(), Recipe("plain", (16,), tolerance=255)).pictures[16].max() == 255
    assert prepare(buffer.getvalue(), Recipe("eye", (16,), tolerance=255)).pictures[16].max() == 90


def test_augmented_pictures_are_eight_exact_ones():
    picture = numpy.arange(2 * 2 * 3, dtype=numpy.uint8).reshape(2, 2, 3)
    made = dict(augment(picture))
    assert list(made) == ["r0", "r90", "r180", "r270", "m_r0", "m_r90", "m_r180", "m_r270"]
    assert {name: each[:, :, 0].ravel().tolist() for name, each in made.items()} == {
        "r0": [0, 3, 6, 9],
        "r90": [3, 9, 0, 6],
        "r180": [9, 6, 3, 0],
        "r270": [6, 0, 9, 3],
        "m_r0": [3, 0, 9, 6],
        "m_r90": [0, 6, 3, 9],
        "m_r180": [6, 9, 0, 3],
        "m_r270": [9, 3, 6, 0],
    }
    assert len({each.tobytes() for each in made.values()}) == 8


@pytest.mark.parametrize("kind", ["plain", "eye"])
def test_a_master_has_the_detail_that_is_asked_for(kind):
    content = encoded(disc(3100, 4600, 1100), "JPEG")
    assert 256 * 2 < prepare(content, Recipe(kind, (16,))).master.shape[0] < 1024
    assert 1024 <= prepare(content, Recipe(kind, (16,), detail=1024)).master.shape[0] < 2300
