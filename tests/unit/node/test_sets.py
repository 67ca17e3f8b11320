"""The layout of data sets."""

from __future__ import annotations

import json

import pytest

from muster_node import sets
from muster_node.sets import Manifest, SetFile


def test_names_are_read_as_they_are_written() -> None:
    for part in sets.PARTS:
        for size in sets.SIZES:
            assert sets.parse_set_name(sets.set_name(part, size)) == (part, size)
    for name in ("raw", "train_", "train_x", "_incoming_train_16_0123", "valid_16"):
        assert sets.parse_set_name(name) is None
    assert sets.PARTS[-1] == sets.TRAIN, "who sees the training part has all"
    assert sets.DEFAULT_SIZE in sets.SIZES


def test_a_manifest_survives_its_json() -> None:
    made = Manifest(
        dataset="digits", set="train_16", rows=7, bytes=9, columns=257, size=16, classes={"a": 0},
        rows_per_class={"0": 7}, objects=(SetFile("digits/train_16/part-00000.csv.gz", 9, "ab", 7),),
        made_by={"program": "preprocess 1"}, skipped=({"image": "x", "reason": "y"},),
    )  # fmt: skip
    read = Manifest.from_json(made.to_json())
    assert read.to_json() == made.to_json()
    assert read.objects[0].name == "part-00000.csv.gz"
    later = json.dumps(json.loads(made.to_json()) | {"unheard": 1})
    assert Manifest.from_json(later).rows == 7


def test_what_is_no_manifest_is_said() -> None:
    with pytest.raises(ValueError, match="no manifest"):
        Manifest.from_json('{"objects": [{"name": "x"}]}')
