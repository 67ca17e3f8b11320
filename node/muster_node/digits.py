#!/usr/bin/python3
"""Write scikit-learn's handwritten digits into the object store: 1,797 PNG files, packed, and their labels.

The labels are written last: raw data without them is not complete, and is written again.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile

sys.path.insert(0, "/opt/muster/lib")

import muster_s3
import numpy
from PIL import Image
from sklearn.datasets import load_digits


def png(scan: numpy.ndarray) -> bytes:
    """One scan (8 x 8 values of 0 to 16) as a PNG file, 0 to 255."""
    buffer = io.BytesIO()
    Image.fromarray((scan * 255 / 16).round().astype(numpy.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pack(names: list[str], scans: numpy.ndarray) -> bytes:
    """All scans as PNG files in a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, scan in zip(names, scans, strict=True):
            content = png(scan)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def main() -> None:
    """Usage: muster-digits DATASET. Prints {images, changed} as JSON."""
    dataset, client = sys.argv[1], muster_s3.client(muster_s3.Settings.load())
    digits = load_digits()
    names = [f"digit_{index:04d}.png" for index in range(len(digits.images))]
    key = f"{dataset}/raw/packs/digits.tar"
    client.put(key, pack(names, digits.images))
    client.put(f"{dataset}/raw/packs.json", json.dumps({key: names}).encode())
    labels = "".join(f"{name},{label}\n" for name, label in zip(names, digits.target, strict=True))
    client.put(f"{dataset}/raw/labels.csv", f"image,label\n{labels}".encode())
    print(json.dumps({"images": len(names), "changed": True}))


try:
    main()
except muster_s3.StoreError as error:
    sys.exit(f"muster-digits: {error}")
