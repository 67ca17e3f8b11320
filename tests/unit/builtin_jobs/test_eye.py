"""Discs whose centre and radius are known, as cameras, scanners and people spoil them; real ones where given."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy
import pytest
from decoding import decode
from eye import crop_disc, find_disc
from PIL import Image, ImageDraw, ImageFilter

PHOTOGRAPHS = sorted(Path(os.environ.get("MUSTER_TEST_PHOTOGRAPHS") or "/nowhere").glob("*.jpeg"))
HEIGHT, WIDTH = 800, 1200
X, Y, RADIUS = 590.0, 410.0, 370.0


def fundus(x: float = X, y: float = Y, radius: float = RADIUS) -> numpy.ndarray:
    """A red disc, darker to one side, with a bright spot and vessels, on black."""
    down, across = numpy.ogrid[:HEIGHT, :WIDTH]
    light = 1.1 - 0.8 * (across - x + radius) / (2 * radius)
    pixels = light[:, :, None] * numpy.array([190.0, 90, 40]) + numpy.zeros((HEIGHT, 1, 1))
    pixels[(down - y - 60) ** 2 + (across - x - 90) ** 2 < 50**2] = (250, 220, 140)
    pixels[(down + across) % 90 < 8] *= 0.6
    pixels[(down + 0.5 - y) ** 2 + (across + 0.5 - x) ** 2 > radius**2] = 2
    return pixels.clip(0, 255).astype(numpy.uint8)


def noisy(pixels: numpy.ndarray, deviation: float) -> numpy.ndarray:
    noise = numpy.random.default_rng(1).normal(0, deviation, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(numpy.uint8)


def jpeg(pixels: numpy.ndarray, quality: int) -> numpy.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return numpy.asarray(Image.open(buffer))


def cut(pixels: numpy.ndarray, share: float) -> numpy.ndarray:
    """Black above and below."""
    pixels = pixels.copy()
    gone = int(len(pixels) * share)
    pixels[:gone] = pixels[-gone:] = 0
    return pixels


def written_on(pixels: numpy.ndarray) -> numpy.ndarray:
    """A name beside the disc, a notch at it, a yellow label in the corner."""
    image = Image.fromarray(pixels)
    draw, height = ImageDraw.Draw(image), pixels.shape[0]
    draw.text((10, 10), "OD 1234 Patient", fill="white", font_size=height / 16)
    draw.rectangle((10, height * 0.91, height * 0.2, height - 10), fill="yellow")
    draw.ellipse((X + 250, Y - 290, X + 310, Y - 230), fill=(90, 60, 40))
    return numpy.asarray(image)


def blank_as_paper(pixels: numpy.ndarray) -> numpy.ndarray:
    smooth = numpy.asarray(Image.fromarray(pixels).filter(ImageFilter.BoxBlur(3)))
    return numpy.where(smooth.max(axis=2, keepdims=True) < 5, numpy.uint8(250), pixels)


SPOILED = {
    "as it is": lambda pixels: pixels,
    "dark": lambda pixels: (pixels * 0.15).astype(numpy.uint8),
    "deep shadows": lambda pixels: (255 * (pixels / 255.0) ** 2).astype(numpy.uint8),
    "bright": lambda pixels: (pixels * 3.0).clip(0, 255).astype(numpy.uint8),
    "bright by gamma": lambda pixels: (255 * (pixels / 255.0) ** 0.4).astype(numpy.uint8),
    "grey around": lambda pixels: (pixels * 0.8 + 40).astype(numpy.uint8),
    "white around": blank_as_paper,
    "noise": lambda pixels: noisy(pixels, 40),
    "dark and noise": lambda pixels: noisy(pixels * 0.15, 4),
    "JPEG blocks": lambda pixels: jpeg(pixels, 5),
    "dark JPEG blocks": lambda pixels: jpeg((pixels * 0.15).astype(numpy.uint8), 20),
    "grey": lambda pixels: pixels.mean(axis=2, keepdims=True).astype(numpy.uint8),
    "blurred": lambda pixels: numpy.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(4))),
    "written on": written_on,
    "cut off": lambda pixels: cut(pixels, 0.25),
    "much of it cut off": lambda pixels: cut(pixels, 0.33),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_disc_is_found_where_it_is(name):
    disc = find_disc(SPOILED[name](fundus()))
    assert disc is not None
    assert numpy.hypot(disc.x - X, disc.y - Y) < 0.02 * RADIUS
    assert abs(disc.radius - RADIUS) < 0.02 * RADIUS
    assert disc.cut == (("top", "bottom") if "cut off" in name else ())
    assert ("dark" in name) == any(note.startswith("dark: threshold ") for note in disc.notes())


@pytest.mark.parametrize(
    ("x", "y", "radius", "sides"),
    [
        (300, 280, 250, ()),
        (600, 400, 520, ("top", "bottom")),
        (480, 400, 620, ("top", "bottom", "left")),
        (1000, 200, 380, ("top", "right")),
        (600.5, 150, 390, ("top",)),
    ],
)
def test_a_disc_that_the_picture_cuts_off_is_found_where_it_is(x, y, radius, sides):
    disc = find_disc(fundus(x, y, radius))
    assert disc is not None
    assert numpy.hypot(disc.x - x, disc.y - y) < 0.02 * radius
    assert abs(disc.radius - radius) < 0.02 * radius
    assert disc.cut == sides
    assert not sides or disc.notes()[0] == f"disc cut off at {' and '.join(sides)}"


def test_the_square_is_tight_and_black_outside_of_the_picture():
    pixels = fundus(1000, 200, 380)
    disc = find_disc(pixels)
    square = crop_disc(pixels, disc)
    assert square.shape[0] == square.shape[1] == round(2 * disc.radius) and square.shape[2] == 3
    assert not square[: int(disc.radius - disc.y) - 1].any() and not square[:, -170:].any()
    assert square[300:400, 300:400].min() > 10
    whole = fundus()
    inner = crop_disc(whole, find_disc(whole))
    assert all(edge.max() > 40 for edge in (inner[:9], inner[-9:], inner[:, :9])), (
        "the disc touches its edges"
    )


def drawn(shape: str, *arguments, **more) -> numpy.ndarray:
    image = Image.new("RGB", (900, 600))
    getattr(ImageDraw.Draw(image), shape)(*arguments, fill=(180, 120, 60), **more)
    return numpy.asarray(image)


@pytest.mark.parametrize(
    "pixels",
    [
        numpy.zeros((600, 900, 3), numpy.uint8),
        numpy.full((600, 900, 1), 255, numpy.uint8),
        numpy.random.default_rng(1).integers(0, 256, (600, 900, 3), dtype=numpy.uint8),
        numpy.zeros((1, 1, 3), numpy.uint8),
        numpy.arange(2000, dtype=numpy.uint8).reshape(1, 2000, 1),
        numpy.tile(numpy.arange(256, dtype=numpy.uint8), (256, 1))[:, :, None],
        drawn("rectangle", (250, 100, 650, 500)),
        drawn("polygon", [(450, 50), (750, 300), (450, 550), (150, 300)]),
        drawn("polygon", [(450, 50), (750, 550), (150, 550)]),
        drawn("ellipse", (100, 100, 700, 500)),
        drawn("text", (50, 50), "Dear Sir,\nwe have seen\nyour picture", font_size=90),
    ],
    ids=[
        "black",
        "white",
        "noise",
        "pixel",
        "line",
        "ramp",
        "oblong",
        "diamond",
        "triangle",
        "egg",
        "letter",
    ],
)
def test_what_is_no_eye_has_no_disc(pixels):
    assert find_disc(pixels) is None


@pytest.mark.skipif(not PHOTOGRAPHS, reason="MUSTER_TEST_PHOTOGRAPHS names no folder of photographs")
@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_a_photograph_has_one_disc_however_it_is_spoiled(path):
    pixels = decode(path.read_bytes(), size=256, channels=3).pixels
    disc = find_disc(pixels)
    for name, spoil in SPOILED.items():
        again = find_disc(spoil(pixels))
        if again is None:
            assert spoil(pixels).mean() < 3, name
            continue
        assert numpy.hypot(again.x - disc.x, again.y - disc.y) < 0.02 * disc.radius, name
        assert abs(again.radius - disc.radius) < 0.02 * disc.radius, name
    turned = find_disc(numpy.asarray(Image.fromarray(pixels).rotate(17, Image.Resampling.BICUBIC)))
    assert abs(turned.radius - disc.radius) < 0.02 * disc.radius
