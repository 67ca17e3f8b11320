"""`muster-fashion DATASET`: Debian's Fashion-MNIST goes into the object store, with its labels and its split.

70,000 grey pictures of 28 x 28 pixels, of ten classes (Xiao, Rasul, Vollgraf: Fashion-MNIST, 2017); 10,000
are those that everybody holds out. The labels are written last, as of the digits.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy
from numpy.typing import NDArray
from PIL import Image

from muster_node import sets
from muster_node.packs import pack
from muster_node.stores.base import Settings, StoreError
from muster_node.stores.open import open_store

FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Of the package dataset-fashion-mnist."""
PARTS = {"train": "train", "heldout": "t10k"}
HELD = "heldout_"
IMAGES, LABELS = 0x803, 0x801
"""The first four bytes of an IDX file: unsigned bytes, in three dimensions or in one."""
PACKED = 10_000
"""Images of one pack: about 5 MiB."""


class BadFile(ValueError):
    """No file of the package; the text is one line."""


def read(path: Path, kind: int) -> NDArray[numpy.uint8]:
    """Return the bytes of a packed IDX file (yann.lecun.com/exdb/mnist) in its shape. Raises BadFile."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise BadFile(f"{path}: {error}") from error
    dimensions = kind & 0xFF
    numbers = numpy.frombuffer(content[: 4 * (dimensions + 1)], dtype=">u4").tolist()
    values = numpy.frombuffer(content[4 * (dimensions + 1) :], dtype=numpy.uint8)
    if len(numbers) != dimensions + 1 or numbers[0] != kind or numpy.prod(numbers[1:]) != len(values):
        raise BadFile(f"{path} is no IDX file of {dimensions} dimensions")
    return values.reshape(numbers[1:])


def images(folder: Path) -> Iterator[tuple[str, int, NDArray[numpy.uint8]]]:
    """Yield name, label and pixels of each image. Raises BadFile."""
    for part, file in PARTS.items():
        pixels = read(folder / f"{file}-images-idx3-ubyte.gz", IMAGES)
        labels = read(folder / f"{file}-labels-idx1-ubyte.gz", LABELS)
        if len(pixels) != len(labels):
            raise BadFile(f"{folder}: {len(pixels):,} images of {file}, and {len(labels):,} labels")
        for number, label in enumerate(labels.tolist()):
            yield f"{part}_{number:05d}.png", label, pixels[number]


def png(pixels: NDArray[numpy.uint8]) -> bytes:
    """Return a picture as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def main() -> int:
    """Write them; prints {images, changed} as JSON."""
    dataset = sys.argv[1]
    packs: dict[str, list[str]] = {}
    try:
        found = list(images(FOLDER))
        store = open_store(Settings.load())
        for begin in range(0, len(found), PACKED):
            some = found[begin : begin + PACKED]
            key = sets.pack_key(dataset, f"fashion-{begin // PACKED}")
            store.put(key, pack((name, png(pixels)) for name, _, pixels in some))
            packs[key] = [name for name, _, _ in some]
        store.put(sets.packs_key(dataset), json.dumps(packs).encode())
        store.put(sets.description_key(dataset), json.dumps({sets.HELD: HELD}).encode())
        labels = "".join(f"{name},{label}\n" for name, label, _ in found)
        store.put(sets.labels_key(dataset), f"image,label\n{labels}".encode())
    except (BadFile, StoreError) as error:
        print(f"muster-fashion: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"images": len(found), "changed": True}))
    return 0
