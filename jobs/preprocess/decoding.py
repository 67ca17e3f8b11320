"""A picture file becomes pixels of 8 bits, upright, within a given memory; no Spark and no network."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

MIB = 1 << 20
MEMORY = 512 * MIB
"""Bytes that a picture may take where nobody says more."""
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Nothing else is opened: of some formats Pillow starts other programs."""
# A JPEG is decoded at a smaller scale while that leaves this many times the pixels per side that are needed.
DECODE_AT = 3
# Any picture is averaged down to this side, or to four times the size that is asked for where that is more.
WORKING_SIDE = 2048
# So many pixels a side are converted at a time.
TILE = 1024
WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
"""Pillow's modes of grey with more than 8 bits; it cuts them off at 255 instead of scaling them."""
RANGES = (255, 4095, 65535)
BYTES = {"1": 1, "L": 1, "P": 1} | dict.fromkeys(WIDE[:4], 2)
"""Bytes a pixel has in memory, by mode; all others have 4."""
COPIES = {"GIF": 2, "TIFF": 2, "WEBP": 4}
"""So many pictures, decoders' buffers included, are in memory at a time, by format; of all others one."""
SEVERAL = "the first picture of several in its file"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What EXIF's orientation asks for."""
LOOKS = (
    (re.compile(rb"\s*<(!doctype\s+)?html", re.IGNORECASE), "a web page"),
    (re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL), "HEIC"),
    (re.compile(rb"....ftypavif", re.DOTALL), "AVIF"),
    (re.compile(rb".{128}DICM", re.DOTALL), "DICOM"),
    (re.compile(rb"%PDF"), "PDF"),
    (re.compile(rb"PK\x03\x04"), "a zip archive"),
    (re.compile(rb"version https://git-lfs"), "a pointer of Git LFS, not the file"),
)
# `check_memory` judges what a picture costs; a large profile in a PNG file is no reason to lose it.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = 16 * MIB


class CorruptImage(Exception):
    """A file that is not a whole picture, or too large for a task; the text says why."""


class Decoded(NamedTuple):
    """A picture's pixels as (height, width, channels), and what a person should know about the file."""

    pixels: NDArray[numpy.uint8]
    notes: tuple[str, ...]


def decode(content: bytes, *, size: int, channels: int, behind: int = 255, memory: int = MEMORY) -> Decoded:
    """Return a picture, no side longer than WORKING_SIDE or 4 x `size`; of several in a file the first.

    Args:
        content: the file.
        size: pixels a side that are needed in the end.
        channels: 1 (grey) or 3 (red, green, blue).
        behind: the grey that shows where a picture is transparent.
        memory: bytes that the file and all that is decoded of it may take.

    Raises:
        CorruptImage: it is no whole picture, or needs more memory.
    """
    mode = "L" if channels == 1 else "RGB"
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(content), formats=FORMATS) as image,
        ):
            whole = image.size
            image.draft(mode, (size * DECODE_AT, size * DECODE_AT))
            check_memory(image, whole, len(content), memory)
            image.load()
            small = _eight_bits(image, mode, max(WORKING_SIDE, 4 * size), behind)
            pixels = numpy.asarray(_upright(image, small), dtype=numpy.uint8)
            notes = (SEVERAL,) if _several(image) else ()
    except CorruptImage:
        raise
    except UnidentifiedImageError as error:
        raise CorruptImage(f"no picture format that is known{_look(content)}") from error
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        # Where an object lay in memory is no part of a reason.
        told = re.sub(r" at 0x[0-9a-fA-F]+", "", f"{type(error).__name__}: {error}")
        raise CorruptImage(told[:200]) from error
    return Decoded(pixels.reshape(*pixels.shape[:2], channels), notes)


def check_memory(image: Image.Image, whole: tuple[int, int], content: int, memory: int) -> None:
    """Raise CorruptImage when decoding would take more than `memory` bytes.

    Args:
        image: an opened picture whose pixels are not loaded yet.
        whole: its width and height in the file; `image` may be drafted to a smaller scale.
        content: bytes of the file, which is in memory too.
        memory: bytes there are.
    """
    pixels = image.width * image.height
    needed = content + pixels * BYTES.get(image.mode, 4) * COPIES.get(image.format or "", 1)
    if image.info.get("progressive"):  # libjpeg keeps 3 coefficients of 2 bytes for each pixel of the file
        needed += 6 * whole[0] * whole[1]
    if needed > memory:
        raise CorruptImage(
            f"{whole[0]} x {whole[1]} pixels need {-(-needed // MIB)} MiB of memory, "
            f"a task here has {memory // MIB}"
        )


def full_scale(top: float, *, floating: bool) -> float:
    """Return the sample that is white in a picture of more than 8 bits whose brightest sample is `top`.

    Which range a file uses is not written in it (12 bits travel in 16; `floating` samples are 0 to 1, or as
    whole numbers are), so it is the smallest usual one that holds `top`; where none is near, `top` itself.
    """
    known = (1, *RANGES) if floating else RANGES
    span = next((end for end in known if top <= end), top)
    return top if floating and 0 < top < span / 16 else span


def _eight_bits(image: Image.Image, mode: str, side: int, behind: int) -> Image.Image:
    """Return a loaded picture in `mode`, averaged down to at most `side`, with one tile more in memory.

    What is transparent shows the grey `behind`.
    """
    factor = -(-max(image.size) // side)
    low, span = _scale(image) if image.mode in WIDE else (0, 0)
    inverted = image.mode in WIDE and image.format == "TIFF" and image.tag_v2.get(262) == 0  # type: ignore[attr-defined]
    small = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    for left, top, tile in _tiles(image, factor):
        even = tile
        if span:
            grey = numpy.clip((numpy.asarray(tile) - low) * (255 / span) + 0.5, 0, 255).astype(numpy.uint8)
            even = Image.fromarray(255 - grey if inverted else grey)
        elif image.has_transparency_data:
            ground = Image.new("RGBA", tile.size, (behind, behind, behind, 255))
            even = Image.alpha_composite(ground, tile.convert("RGBA"))
        small.paste(even.convert(mode).reduce(factor), (left // factor, top // factor))
    return small


def _tiles(image: Image.Image, factor: int) -> Iterator[tuple[int, int, Image.Image]]:
    """Cut a picture up: (left, top, tile); sides are multiples of `factor`, but for those at the end."""
    side = max(TILE // factor, 1) * factor
    for top in range(0, image.height, side):
        for left in range(0, image.width, side):
            box = (left, top, min(left + side, image.width), min(top + side, image.height))
            yield left, top, image.crop(box)


def _scale(image: Image.Image) -> tuple[float, float]:
    """Return the sample that becomes 0, and how far above it the one is that becomes 255."""
    low, high = 0.0, 0.0
    for _, _, tile in _tiles(image, 1):
        samples = numpy.asarray(tile)
        darkest, brightest = float(samples.min()), float(samples.max())
        if not numpy.isfinite(brightest - darkest):
            raise CorruptImage("some of its samples are no numbers")
        low, high = min(low, darkest), max(high, brightest)
    return low, full_scale(high - low, floating=image.mode == "F")


def _several(image: Image.Image) -> bool:
    """Tell whether there are more pictures in the file of a loaded one; what cannot be read is none."""
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001  damage behind the first picture makes Pillow raise nearly anything
        return False


def _upright(image: Image.Image, small: Image.Image) -> Image.Image:
    """Turn `small`, made of `image`, as EXIF says; what cannot be read there turns nothing."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation) or 0)
    except Exception:  # noqa: BLE001  rubbish in metadata makes Pillow raise nearly anything
        return small
    return small if turn is None else small.transpose(turn)


def _look(content: bytes) -> str:
    """Return what a file that is no picture looks like, in words."""
    if not content:
        return ": the file is empty"
    found = next((name for pattern, name in LOOKS if pattern.match(content)), "")
    return f": it looks like {found}" if found else ""
