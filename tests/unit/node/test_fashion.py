"""muster-fashion: Debian's Fashion-MNIST as raw data of a set."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muster_node import fashion, sets


def write(path: Path, kind: int, values: np.ndarray) -> None:
    numbers = (kind, *values.shape)
    path.write_bytes(gzip.compress(struct.pack(f">{len(numbers)}I", *numbers) + values.tobytes()))


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """The package's files, with fewer images."""
    monkeypatch.setattr(fashion, "FOLDER", tmp_path)
    monkeypatch.setattr(fashion, "PACKED", 4)
    pixels = np.random.default_rng(1).integers(0, 256, (8, 28, 28), dtype=np.uint8)
    for file, places in (("train", slice(0, 5)), ("t10k", slice(5, 8))):
        write(tmp_path / f"{file}-images-idx3-ubyte.gz", fashion.IMAGES, pixels[places])
        write(tmp_path / f"{file}-labels-idx1-ubyte.gz", fashion.LABELS, np.arange(8, dtype=np.uint8)[places])
    return tmp_path


def test_raw_data_has_all_images_and_the_split(package, monkeypatch, capsys):
    written: dict[str, bytes] = {}
    store = type("Store", (), {"put": lambda _, key, content: written.update({key: content})})
    monkeypatch.setattr(fashion, "open_store", lambda _: store())
    monkeypatch.setattr(fashion.Settings, "load", lambda: None)
    monkeypatch.setattr("sys.argv", ["muster-fashion", "clothes"])
    assert fashion.main() == 0
    assert json.loads(capsys.readouterr().out) == {"images": 8, "changed": True}
    assert list(written)[-1] == sets.labels_key("clothes"), "raw data is complete once its labels are there"
    labels = written[sets.labels_key("clothes")].decode().splitlines()
    assert labels[:2] == ["image,label", "train_00000.png,0"] and labels[-1] == "heldout_00002.png,7"
    assert json.loads(written[sets.description_key("clothes")]) == {sets.HELD: "heldout_"}
    packs = json.loads(written[sets.packs_key("clothes")])
    assert [len(names) for names in packs.values()] == [4, 4]
    seen = {}
    for key, names in packs.items():
        with tarfile.open(fileobj=io.BytesIO(written[key])) as archive:
            assert archive.getnames() == names
            seen |= {name: np.asarray(Image.open(archive.extractfile(name))) for name in names}
    for name, _, pixels in fashion.images(package):
        assert np.array_equal(seen[name], pixels), name


def test_what_is_no_such_file_is_told_in_a_line(package):
    path = package / "train-labels-idx1-ubyte.gz"
    write(path, fashion.LABELS, np.zeros(4, np.uint8))
    with pytest.raises(fashion.BadFile, match="5 images of train, and 4 labels"):
        list(fashion.images(package))
    path.write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x09abc"))
    with pytest.raises(fashion.BadFile, match="is no IDX file of 1 dimensions"):
        fashion.read(path, fashion.LABELS)
    path.unlink()
    with pytest.raises(fashion.BadFile, match="No such file"):
        fashion.read(path, fashion.LABELS)
