"""Noise as a data set: random images with labels, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy
from PIL import Image

CLASSES = 5


def write_noise(folder: Path, *, images: int, side: int, seed: int = 1) -> int:
    """Write `images` PNG files of side x side random pixels (3 bytes each: noise does not compress) and labels.csv.

    Returns the bytes of all images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng(seed)
    total, rows = 0, ["image,level"]
    for number in range(images):
        file = folder / f"noise_{number:05d}.png"
        pixels = random.integers(0, 256, (side, side, 3), dtype=numpy.uint8)
        Image.fromarray(pixels).save(file, compress_level=0)
        total += file.stat().st_size
        rows.append(f"{file.stem},{number % CLASSES}")
    (folder / "labels.csv").write_text("\n".join([*rows, ""]))
    return total
