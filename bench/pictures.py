"""Times what preprocessing does to one picture, on one core; see README.md beside this file."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "jobs" / "preprocess"), str(ROOT / "node")]
pictures, writers, tasks = map(importlib.import_module, ("pictures", "writers", "tasks"))

SIZES = (16, 32, 64, 128, 256)
SETS = (*((size,) for size in SIZES), SIZES)
RATIO = 1.3
"""All sizes in one pass may take so many times the CPU seconds of the largest alone."""


def main() -> int:
    """Measure; return 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="the median of so many is told")
    rounds = parser.parse_args().rounds
    contents, what = photographs()
    print(f"{what}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; images per CPU second of one core")
    worst = 0.0
    for kind in ("plain", "eye"):
        for name, step in (("pictures", prepare), ("and rows", write)):
            spent = {sizes: measure(step, contents, kind, sizes, rounds) for sizes in SETS}
            ratio = spent[SIZES] / spent[SIZES[-1:]]
            for sizes, seconds in spent.items():
                told = " ".join(map(str, sizes))
                print(f"{kind:<6} {name:<9} {told:>18} {len(contents) / seconds:8.1f}")
            print(f"{kind:<6} {name:<9} {'all / 256 alone':>18} {ratio:8.2f}")
            worst = max(worst, ratio)
    return int(worst > RATIO)


def photographs() -> tuple[list[bytes], str]:
    """Return files to measure with, and what they are."""
    folder = os.environ.get("MUSTER_TEST_PHOTOGRAPHS")
    found = [path.read_bytes() for path in sorted(Path(folder).glob("*.jpeg"))] if folder else []
    if found:
        return found, f"{len(found)} photographs"
    return [made(seed) for seed in range(4)], "4 made pictures of 3888 x 2592"


def made(seed: int) -> bytes:
    """A JPEG file of a lit disc with noise, as large as a camera's."""
    chance = numpy.random.default_rng(seed)
    spots = Image.fromarray(chance.integers(40, 220, (18, 27, 3), dtype=numpy.uint8))
    pixels = numpy.asarray(spots.resize((3888, 2592), Image.Resampling.BICUBIC)).astype(numpy.int16)
    pixels += chance.integers(-6, 7, pixels.shape, dtype=numpy.int16)
    down, across = numpy.ogrid[:2592, :3888]
    pixels[(down - 1296) ** 2 + (across - 1944) ** 2 > 1240**2] = 2
    content = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8)).save(content, "JPEG", quality=90)
    return content.getvalue()


def prepare(contents: Sequence[bytes], kind: str, sizes: tuple[int, ...]) -> None:
    """Make the pictures alone."""
    for content in contents:
        pictures.prepare(content, pictures.Recipe(kind, sizes))


def write(contents: Sequence[bytes], kind: str, sizes: tuple[int, ...]) -> None:
    """Make the pictures, and rows of gzipped CSV of them."""
    files = {size: writers.CsvFile() for size in sizes}
    for content in contents:
        for size, picture in pictures.prepare(content, pictures.Recipe(kind, sizes)).pictures.items():
            files[size].add(tasks.Image("0", "0"), picture)
    for file in files.values():
        file.finish().file.close()


def measure(
    step: Callable[[Sequence[bytes], str, tuple[int, ...]], None],
    contents: Sequence[bytes],
    kind: str,
    sizes: tuple[int, ...],
    rounds: int,
) -> float:
    """Return the median of the CPU seconds that a step takes."""
    spent = []
    for _ in range(rounds):
        started = time.process_time()
        step(contents, kind, sizes)
        spent.append(time.process_time() - started)
    return statistics.median(spent)


if __name__ == "__main__":
    sys.exit(main())
