"""A description says what nodes are asked, or one line says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster_node.ingest.request import Archive, Part, Request
from provision.core.errors import ConfigError
from provision.data.description import load, to_request

WHOLE = """
name: retina
kind: eye
source:
  archives:
    - parts: ["https://host.example/d/train.zip.{001..003}?key=a"]
      sha256: {train.zip.001: SHA}
    - parts: [store:inbox/more.tar]
      md5: MD5
labels: {file: trainLabels.csv, column: level}
sample: 0.05
size: 1024
quality: 90
multi_label: true
on_bad_labels: drop
""".replace("SHA", "A" * 64).replace("MD5", "b" * 32)


def read(folder: Path, text: str):
    file = folder / "retina.yml"
    file.write_text(text)
    return load(file)


def test_everything_that_can_be_said(tmp_path):
    asked = to_request(read(tmp_path, WHOLE), labels_beside=False)
    place = "https://host.example/d/train.zip.{}?key=a"
    first = Archive(
        (Part(place.format("001"), "A" * 64), Part(place.format("002")), Part(place.format("003")))
    )
    assert asked.archives == (first, Archive((Part("store:inbox/more.tar"),), "b" * 32))
    assert first.name == "train.zip.001", "nothing of a key in messages"
    assert (asked.dataset, asked.kind, asked.sample, asked.size, asked.quality) == (
        "retina",
        "eye",
        0.05,
        1024,
        90,
    )
    assert (asked.labels.inside, asked.labels.column, asked.labels.on_bad) == (
        "trainLabels.csv",
        "level",
        "drop",
    )
    assert asked.hosts == {"host.example"}
    assert Request.from_json(asked.to_json()) == asked


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("kind:", "kin:", r"kin: unknown key\. Did you mean `kind`"),
        ("parts:", "part:", r"archives\.0\.part: unknown key\. Did you mean `parts`"),
        ("kind: eye", "kind: ear", r"kind: .*plain.*eye"),
        ("name: retina", "name: Retina!", "cannot be the name of a data set"),
        ("name: retina", "name: digits", "cannot be the name of a data set"),
        ("sample: 0.05", "sample: 2", "at most 1"),
        ("store:inbox/more.tar", "inbox/more.tar", "no place that nodes reach"),
        ("https://host", "file://host", "no place that nodes reach"),
        ("https://host", "https://me:secret@host", "holds? no secrets"),
        ("https://host", "ftp://me:secret@host", "holds? no secrets"),
        ("file: trainLabels.csv", "file: 'https://me:secret@host/l.csv'", "holds? no secrets"),
        ("https://host", "https://[", "an address is none"),
        ("A" * 64, "A" * 63, "sha256 has 64 hex digits"),
        ("train.zip.001:", "train.zip.009:", r"no part train\.zip\.009"),
        ("{001..003}", "{003..001}", "no range of numbers"),
        ("archives:", "urls: {list: a.json}\n  archives:", "archives and urls"),
        ("source:", "source:\nx:", "unknown key|source"),
    ],
)
def test_refused_in_one_line(tmp_path, old, new, why):
    with pytest.raises(ConfigError, match=why) as caught:
        read(tmp_path, WHOLE.replace(old, new, 1))
    assert "secret" not in str(caught.value).replace("no secrets", "")


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "name: x"])
def test_no_description(tmp_path, text):
    with pytest.raises(ConfigError, match=r"retina\.yml"):
        read(tmp_path, text)


def test_none_was_given():
    with pytest.raises(ConfigError, match="no description .* was given. Say -e SOURCE"):
        load(Path())


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yml")
