"""Files of a part: CSV and Parquet hold the same rows, and the same rows give the same bytes."""

from __future__ import annotations

import csv
import gzip
import io
import json

import numpy
import pytest
import writers
from PIL import Image as Picture
from pyarrow import parquet
from tasks import Image
from writers import CsvFile, ParquetFile, csv_line

PICTURES = numpy.arange(3 * 16 * 16 * 3, dtype=numpy.uint16).astype(numpy.uint8).reshape(3, 16, 16, 3)
IMAGES = [
    Image("1_left.png", "3", "1"),
    Image("1_right.png", "0", "1"),
    Image("Doe, Jane.png", "", "Doe, Jane"),
]


def written(file, channels: int = 3) -> bytes:
    for image, picture in zip(IMAGES, PICTURES, strict=True):
        file.add(image, picture[:, :, :channels])
    done = file.finish()
    with done.file:
        content = done.file.read()
    assert len(content) == done.bytes
    return content


def table(channels: int) -> bytes:
    return written(
        ParquetFile(size=16, channels=channels, classes={"0": 0, "3": 3}, multi_label=False), channels
    )


def test_the_same_rows_give_the_same_bytes():
    assert written(CsvFile()) == written(CsvFile())
    assert table(3) == table(3)


@pytest.mark.parametrize("channels", [1, 3])
def test_parquet_has_the_pixels_of_csv(channels):
    lines = csv.reader(io.StringIO(gzip.decompress(written(CsvFile(), channels)).decode()))
    file = parquet.ParquetFile(io.BytesIO(table(channels)))
    rows = file.read().to_pylist()
    for line, row, image in zip(lines, rows, IMAGES, strict=True):
        assert line[0] == (image.label or image.name)
        assert (row["id"], row["subject"]) == (image.name, image.subject)
        assert row["label"] == (int(image.label) if image.label else None)
        pixels = numpy.asarray(Picture.open(io.BytesIO(row["image"])))
        assert pixels.shape == ((16, 16) if channels == 1 else (16, 16, 3))
        assert [int(value) for value in line[1:]] == pixels.reshape(-1).tolist()
    told = file.schema_arrow.metadata
    assert json.loads(told[b"classes"]) == {"0": 0, "3": 3}
    assert (told[b"size"], told[b"channels"]) == (b"16", str(channels).encode())


def test_several_labels_are_a_list():
    file = ParquetFile(size=16, channels=3, classes={}, multi_label=True)
    for label in ("0|3", "3", ""):
        file.add(Image("1.png", label), PICTURES[0])
    with file.finish().file as content:
        assert parquet.read_table(content)["label"].to_pylist() == [[0, 3], [3], None]


def test_few_rows_are_in_memory_at_a_time(monkeypatch):
    monkeypatch.setattr(writers, "GROUP_ROWS", 2)
    assert parquet.ParquetFile(io.BytesIO(table(3))).num_row_groups == 2
    monkeypatch.setattr(writers, "GROUP_BYTES", 1)
    assert parquet.ParquetFile(io.BytesIO(table(3))).num_row_groups == 3


@pytest.mark.parametrize("name", ["Doe, Jane.png", 'say "ah".png', " lead.png", "7;8.png", "left/1.png"])
def test_any_name_is_one_cell_of_its_row(name):
    line = csv_line(name, numpy.array([[[0], [255], [7]]], numpy.uint8)).decode()
    assert list(csv.reader([line])) == [[name, "0", "255", "7"]] and line.count("\n") == 1
