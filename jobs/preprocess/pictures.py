"""What preprocessing does to one picture, and how rows are written: no Spark and no network in here."""

from __future__ import annotations

import gzip
import hashlib
import io
import warnings
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray
from PIL import Image, ImageOps

# A JPEG is decoded at a smaller scale while that leaves this many times the pixels per side that are needed.
DECODE_AT = 4
# Pictures beyond this are refused: a small file can claim any size.
MAX_PIXELS = 400_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2


class CorruptImage(Exception):
    """A file that is not a whole picture; the text says why."""


@dataclass(frozen=True)
class Recipe:
    """How a picture becomes a row.

    `size` is the side of the result in pixels, `channels` 1 (grey) or 3 (red, green, blue), `tolerance`
    how far (0 to 255) a pixel of the border may be from the corner's colour and still count as border.
    """

    size: int
    channels: int = 1
    tolerance: int = 12


def decode(content: bytes, recipe: Recipe) -> NDArray[numpy.uint8]:
    """Return a picture's pixels as (height, width, channels). Raises CorruptImage."""
    mode = "L" if recipe.channels == 1 else "RGB"
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content)) as image:
            warnings.simplefilter("ignore")
            image.draft(mode, (recipe.size * DECODE_AT, recipe.size * DECODE_AT))
            upright = ImageOps.exif_transpose(image)
            pixels = numpy.asarray(upright.convert(mode), dtype=numpy.uint8)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise CorruptImage(f"{type(error).__name__}: {error}"[:200]) from error
    return pixels.reshape(pixels.shape[0], pixels.shape[1], recipe.channels)


def crop_border(pixels: NDArray[numpy.uint8], tolerance: int) -> NDArray[numpy.uint8]:
    """Cut off the edges that have one colour, that of the top left corner, within `tolerance`.

    A picture of one colour only is returned as it is.
    """
    distance = numpy.abs(pixels.astype(numpy.int16) - pixels[0, 0].astype(numpy.int16)).max(axis=2)
    inside = distance > tolerance
    rows, columns = numpy.flatnonzero(inside.any(axis=1)), numpy.flatnonzero(inside.any(axis=0))
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


def resize(pixels: NDArray[numpy.uint8], size: int) -> NDArray[numpy.uint8]:
    """Return the square picture with sides of `size` pixels: averaged or, when larger, interpolated."""
    method = Image.Resampling.BOX if pixels.shape[0] >= size else Image.Resampling.BILINEAR
    grey = pixels.shape[2] == 1
    image = Image.fromarray(pixels[:, :, 0] if grey else pixels)
    return numpy.asarray(image.resize((size, size), method), dtype=numpy.uint8).reshape(size, size, -1)


def preprocess(content: bytes, recipe: Recipe) -> NDArray[numpy.uint8]:
    """Return a picture file as size x size x channels values, row by row. Raises CorruptImage."""
    pixels = decode(content, recipe)
    square = make_square(crop_border(pixels, recipe.tolerance), pixels[0, 0])
    return resize(square, recipe.size).reshape(-1)


def csv_line(first: str, row: NDArray[numpy.uint8]) -> str:
    """One CSV line: label or id, then the values."""
    return f"{first},{','.join(map(str, row.tolist()))}\n"


class PartWriter:
    """A part file in the making: CSV lines, compressed as they come.

    The same lines give the same bytes at any time and on any machine of one Debian release.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._buffer = io.BytesIO()
        self._gzip = gzip.GzipFile(filename="", mode="wb", fileobj=self._buffer, compresslevel=6, mtime=0)

    def add(self, line: str) -> None:
        """Append one line."""
        self._gzip.write(line.encode())
        self.rows += 1

    def finish(self) -> tuple[bytes, str]:
        """Return the compressed content and its SHA-256."""
        self._gzip.close()
        content = self._buffer.getvalue()
        return content, hashlib.sha256(content).hexdigest()
