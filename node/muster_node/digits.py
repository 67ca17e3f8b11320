"""`muster-digits DATASET`: scikit-learn's handwritten digits go into the object store, with their labels.

The labels are written last: raw data without them is not complete, and is written again.
"""

from __future__ import annotations

import io
import json
import sys

import numpy
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from muster_node import sets
from muster_node.packs import pack
from muster_node.stores.base import Settings, StoreError
from muster_node.stores.open import open_store


def png(scan: NDArray[numpy.float64]) -> bytes:
    """One scan (8 x 8 values of 0 to 16) as a PNG file, 0 to 255."""
    buffer = io.BytesIO()
    Image.fromarray((scan * 255 / 16).round().astype(numpy.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def main() -> int:
    """Write them; prints {images, changed} as JSON."""
    dataset = sys.argv[1]
    digits = load_digits()
    names = [f"digit_{index:04d}.png" for index in range(len(digits.images))]
    pack_key = sets.pack_key(dataset, "digits")
    labels = "".join(f"{name},{label}\n" for name, label in zip(names, digits.target, strict=True))
    try:
        store = open_store(Settings.load())
        store.put(pack_key, pack(zip(names, map(png, digits.images), strict=True)))
        store.put(sets.packs_key(dataset), json.dumps({pack_key: names}).encode())
        store.put(sets.labels_key(dataset), f"image,label\n{labels}".encode())
    except StoreError as error:
        print(f"muster-digits: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"images": len(names), "changed": True}))
    return 0
