"""What preprocessing does to one picture: no Spark and no network in here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy
from decoding import MEMORY, decode
from eye import crop_disc, find_disc
from numpy.typing import NDArray
from PIL import Image

LADDER = 256
"""Sizes that are this one divided by 2, 4, 8 … are made of it, by averaging whole pixels."""
STEPS = (1, 2, 4, 8, 16, 32)
FLAT = 12
"""A picture whose values are this near to each other has one colour."""
BLACK, WHITE = 0, 255
"""What shows where a picture is transparent: of eyes the one, of others the other, as on paper."""


@dataclass(frozen=True)
class Recipe:
    """How a picture becomes square pictures.

    `kind`: "plain" cuts off a border of one colour and pads to a square with it, "eye" cuts out the square
    around the fundus, see `find_disc`. `sizes` are the sides of the results in pixels, `channels` 1 (grey) or
    3 (red, green, blue), `tolerance` how far (0 to 255) a pixel of the border may be from the corner's colour
    and still count as border. `detail`: so many pixels a side the master has where the file has them.
    """

    kind: Literal["plain", "eye"]
    sizes: tuple[int, ...]
    channels: int = 3
    tolerance: int = 12
    detail: int = LADDER


@dataclass(frozen=True)
class Prepared:
    """What became of a picture file; all pictures are (side, side, channels).

    `pictures`: by size. `master`: the square that they were made of. `whole`: the picture that this was cut
    out of. `notes`: what a person should know about this picture, a few words each.
    """

    pictures: dict[int, NDArray[numpy.uint8]]
    master: NDArray[numpy.uint8]
    whole: NDArray[numpy.uint8]
    notes: tuple[str, ...]

    @property
    def kept(self) -> float:
        """How large the square is beside the whole picture, at most 1."""
        return min(self.master[:, :, 0].size / self.whole[:, :, 0].size, 1.0)


def crop_border(pixels: NDArray[numpy.uint8], tolerance: int) -> NDArray[numpy.uint8]:
    """Cut off the edges that have one colour, that of the top left corner, within `tolerance`.

    A picture of one colour only is returned as it is.
    """
    corner = pixels[0, 0].astype(int)
    darkest, brightest = (
        (corner + apart).clip(0, 255).astype(numpy.uint8) for apart in (-tolerance, tolerance)
    )
    inside = (pixels < darkest) | (pixels > brightest)
    rows = numpy.flatnonzero(inside.reshape(len(inside), -1).any(axis=1))
    columns = numpy.flatnonzero(inside.any(axis=0).any(axis=1))
    if not rows.size:
        return pixels
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def make_square(pixels: NDArray[numpy.uint8], background: NDArray[numpy.uint8]) -> NDArray[numpy.uint8]:
    """Pad the shorter side on both ends with the colour `background`."""
    height, width, channels = pixels.shape
    side = max(height, width)
    square = numpy.empty((side, side, channels), dtype=numpy.uint8)
    square[:] = background
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def resize(master: NDArray[numpy.uint8], sizes: Iterable[int]) -> dict[int, NDArray[numpy.uint8]]:
    """Return the square picture with sides of each of `sizes` pixels: averaged or, when larger, interpolated.

    A size is the same picture whatever other sizes are asked for.
    """
    shape, channels = master.shape[0], master.shape[2]
    whole = Image.fromarray(master[:, :, 0] if channels == 1 else master)
    made: dict[int, Image.Image] = {}
    for size in sizes:
        factor = max((step for step in STEPS if size * step <= min(shape, LADDER)), default=1)
        top = size * factor
        if top not in made:
            method = Image.Resampling.HAMMING if top <= shape else Image.Resampling.BILINEAR
            made[top] = whole.resize((top, top), method, reducing_gap=3.0)
        made[size] = made[top].reduce(factor)
    return {
        size: numpy.asarray(made[size], dtype=numpy.uint8).reshape(size, size, channels) for size in sizes
    }


def prepare(content: bytes, recipe: Recipe, memory: int = MEMORY) -> Prepared:
    """Return a picture file at all sizes of the recipe; it is decoded once, within `memory` bytes.

    An "eye" in which no disc is found is prepared as "plain", which its notes say.

    Raises CorruptImage.
    """
    eye = recipe.kind == "eye"
    pixels, notes = decode(
        content,
        size=max(recipe.detail, *recipe.sizes),
        channels=recipe.channels,
        behind=BLACK if eye else WHITE,
        memory=memory,
    )
    disc = find_disc(pixels) if eye else None
    if disc:
        master = crop_disc(pixels, disc)
        notes += disc.notes()
        if master.shape[0] < max(recipe.sizes):
            notes += (f"disc of only {master.shape[0]} pixels",)
    else:
        master = make_square(crop_border(pixels, recipe.tolerance), pixels[0, 0])
        notes += ("no disc found: border cropped",) if eye else ()
    if int(master.max()) - int(master.min()) <= FLAT:
        notes += ("one colour",)
    return Prepared(resize(master, recipe.sizes), master, pixels, notes)


def augment(picture: NDArray[numpy.uint8]) -> Iterator[tuple[str, NDArray[numpy.uint8]]]:
    """Yield a square picture as it is, turned by 90, 180 and 270 degrees, and the mirror images of these.

    With each goes its name, "r0" to "r270" and "m_r0" to "m_r270": turned to the left by so many degrees
    after, with m, left and right were exchanged. Pixels are moved and never changed; the first is `picture`.
    """
    for prefix, side in (("", picture), ("m_", picture[:, ::-1])):
        for quarter in range(4):
            yield f"{prefix}r{90 * quarter}", numpy.ascontiguousarray(numpy.rot90(side, quarter))
