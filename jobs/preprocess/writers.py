"""How rows are written: CSV and Parquet files on the disk, a row at a time; no Spark and no network in here.

The same rows give the same bytes at any time and on any machine of one Debian release.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy
import pyarrow
from numpy.typing import NDArray
from PIL import Image as Picture
from pyarrow import parquet
from tasks import Image

from muster_node.sets import MASTER, split_labels

GZIP_LEVEL = 4
"""A fifth larger than at 6 in a quarter of the time, which would be most of a row of 256 x 256 pixels."""
PNG_LEVEL = 3
JPEG_QUALITY = 92
GROUP_ROWS = 1000
GROUP_BYTES = 4 << 20
"""A row group of Parquet, in memory until it is written, has so many rows or bytes of pictures."""
VALUES = numpy.array([f"{value}," for value in range(256)], dtype="S4")


@dataclass(frozen=True)
class Written:
    """A finished file: its content, to be read from the start, its bytes and their SHA-256.

    `places`: first byte and length of each image in an archive.
    """

    file: IO[bytes]
    bytes: int
    sha256: str
    places: Mapping[str, Sequence[int]]


class PartFile(ABC):
    """A file of a part in the making, in a file without a name on the disk for temporary files."""

    suffix: str

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115  `finish` hands it on, closing it removes it
        self.places: dict[str, Sequence[int]] = {}

    @abstractmethod
    def add(self, image: Image, picture: NDArray[numpy.uint8]) -> None:
        """Append a row: the picture is (size, size, channels)."""

    @abstractmethod
    def _close(self) -> None:
        """Write what is left."""

    def finish(self) -> Written:
        """Return the finished file."""
        self._close()
        size = self.file.seek(0, io.SEEK_END)
        self.file.seek(0)
        digest = hashlib.file_digest(self.file, "sha256").hexdigest()
        self.file.seek(0)
        return Written(self.file, size, digest, self.places)


class CsvFile(PartFile):
    """Gzipped CSV: label or id, then the values of the pixels, row by row."""

    suffix = "csv.gz"

    def __init__(self) -> None:
        super().__init__()
        self._gzip = gzip.GzipFile(
            filename="", mode="wb", fileobj=self.file, compresslevel=GZIP_LEVEL, mtime=0
        )

    def add(self, image: Image, picture: NDArray[numpy.uint8]) -> None:
        """Append a row."""
        self._gzip.write(csv_line(image.first, picture))

    def _close(self) -> None:
        self._gzip.close()


class ParquetFile(PartFile):
    """Parquet: id, label (a list where there may be several, None = it has none), subject, picture as PNG."""

    suffix = "parquet"

    def __init__(self, *, size: int, channels: int, classes: Mapping[str, int], multi_label: bool) -> None:
        super().__init__()
        self._multi_label = multi_label
        told = {"classes": json.dumps(classes), "size": str(size), "channels": str(channels)}
        self._schema = pyarrow.schema(
            [
                ("id", pyarrow.string()),
                ("label", pyarrow.list_(pyarrow.int32()) if multi_label else pyarrow.int32()),
                ("subject", pyarrow.string()),
                ("image", pyarrow.binary()),
            ],
            metadata=told,
        )
        self._writer = parquet.ParquetWriter(
            self.file,
            self._schema,
            compression={"id": "zstd", "label": "zstd", "subject": "zstd", "image": "none"},
            use_dictionary=["subject"],
            write_statistics=["id", "label", "subject"],
        )
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, image: Image, picture: NDArray[numpy.uint8]) -> None:
        """Append a row."""
        content = png(picture)
        numbers = [int(each) for each in split_labels(image.label)] if image.label else [None]
        label = numbers if self._multi_label and image.label else numbers[0]
        self._rows.append({"id": image.name, "label": label, "subject": image.subject, "image": content})
        self._bytes += len(content)
        if len(self._rows) == GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        self._writer.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0

    def _close(self) -> None:
        if self._rows:
            self._write_group()
        self._writer.close()


class MastersFile(PartFile):
    """A tar archive of intermediates: JPEG, of MASTER pixels a side or fewer."""

    suffix = "tar"

    def __init__(self) -> None:
        super().__init__()
        self._archive = tarfile.open(fileobj=self.file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, image: Image, picture: NDArray[numpy.uint8]) -> None:
        """Append a picture."""
        content = jpeg(picture)
        entry = tarfile.TarInfo(image.name)
        entry.size = len(content)
        self._archive.addfile(entry, io.BytesIO(content))
        blocks = -(-len(content) // tarfile.BLOCKSIZE)
        self.places[image.name] = (self._archive.offset - blocks * tarfile.BLOCKSIZE, len(content))

    def _close(self) -> None:
        self._archive.close()


def csv_line(first: str, picture: NDArray[numpy.uint8]) -> bytes:
    """Return one CSV line: label or id, then the values."""
    cell = io.StringIO()
    csv.writer(cell, lineterminator="").writerow((first, ""))
    values = VALUES[picture.reshape(-1)].tobytes().translate(None, b"\0")
    return cell.getvalue().encode() + values[:-1] + b"\n"


def png(picture: NDArray[numpy.uint8]) -> bytes:
    """Return a picture (height, width, channels) as a PNG file."""
    content = io.BytesIO()
    as_image(picture).save(content, "PNG", compress_level=PNG_LEVEL)
    return content.getvalue()


def jpeg(picture: NDArray[numpy.uint8]) -> bytes:
    """Return a square picture as a JPEG file, of MASTER pixels a side at most."""
    content, image = io.BytesIO(), as_image(picture)
    if image.width > MASTER:
        image = image.resize((MASTER, MASTER), Picture.Resampling.HAMMING, reducing_gap=3.0)
    image.save(content, "JPEG", quality=JPEG_QUALITY)
    return content.getvalue()


def as_image(picture: NDArray[numpy.uint8]) -> Picture.Image:
    """Return a picture (height, width, channels) as Pillow has it."""
    return Picture.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
