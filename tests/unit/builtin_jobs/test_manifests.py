"""What is written about sets once all their parts are made."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from manifests import publish, report, tell
from PIL import Image
from raw import Failure
from tasks import Job, Made, Options

from muster_node import sets
from muster_node.sets import Manifest, SetFile

SOURCE = {"images": 2, "files": "1", "labels": "2"}
JOB = Job(Options("eyes", balance="weights"), {"1": 1}, {}, SOURCE, {"rows": 3}, 0)


def test_when_nothing_can_be_read_the_first_images_are_named():
    skipped = [{"image": f"{number}.png", "reason": "the file is empty"} for number in range(7)]
    made = [Made(sets.TRAIN, 0, 16, skipped=skipped), Made(sets.TEST, 0, 16, rows=1)]
    with pytest.raises(
        Failure, match=r"to train on can be read: 0\.png \(the file is empty\), .* and 2 more"
    ):
        publish(SimpleNamespace(), made, (16,), JOB)


def test_every_size_has_its_manifests_the_training_sets_last():
    kept: dict[str, bytes] = {}
    files = (SetFile("k", 9, "s", 5), SetFile("l", 8, "t", 5))
    skipped = [{"image": "x.png", "reason": "no"}]
    made = [
        Made(
            part,
            number,
            size,
            images=5 + number,
            rows=5,
            labels={"1": 5},
            files=files,
            skipped=skipped if number else [],
        )
        for part in (sets.TRAIN, sets.TEST)
        for number in (1, 0)
        for size in (16, 32)
    ]
    summary = publish(
        SimpleNamespace(put=kept.__setitem__, names=lambda _: (), remove=list), made, (16, 32), JOB
    )
    assert list(kept) == [
        sets.manifest_key("eyes", part, size) for size in (16, 32) for part in (sets.TEST, sets.TRAIN)
    ]
    known = Manifest.from_json(kept[sets.manifest_key("eyes", sets.TRAIN, 32)])
    assert (known.rows, known.rows_per_class, known.bytes) == (10, {"1": 10}, 34)
    assert known.images == known.rows + len(known.skipped)
    assert known.class_weights == {"1": 1.0} and known.labels == {"rows": 3}
    assert len(known.objects) == 4 and known.source == SOURCE and known.columns == 1 + 32 * 32 * 3
    assert summary["rows"] == dict.fromkeys(("test_16", "train_16", "test_32", "train_32"), 10)
    assert summary["notes"] == [
        "1 images cannot be read and are left out: x.png (no)",
    ]


def test_the_report_has_every_image_once_for_all_sizes():
    notes = [{"image": "b,c.png", "note": "no disc found"}]
    made = [
        Made(sets.TEST, 0, size, skipped=[{"image": "a.png", "reason": "HEIC"}], notes=notes)
        for size in (16, 32)
    ]
    assert report(made).decode().splitlines() == [
        "image,part,used,why",
        "a.png,test,no,HEIC",
        '"b,c.png",test,yes,no disc found',
    ]


def test_report_and_contact_sheet_are_told_to_people():
    kept: dict[str, bytes] = {}
    hdfs: dict[str, bytes] = {}
    place = SimpleNamespace(
        make_folder=lambda _path: None,
        write=lambda path, source, length, copies: hdfs.update({path: source.read(length * copies)}),
    )
    where = tell(SimpleNamespace(put=kept.__setitem__), place, [Made(sets.TRAIN, 0, 16)], JOB)
    assert "./muster get hdfs:/datasets/eyes/_preprocess ." in where
    assert Image.open(io.BytesIO(kept[sets.sheet_key("eyes")])).format == "PNG"
    assert hdfs["/datasets/eyes/_preprocess/report.csv"] == kept[sets.report_key("eyes")]
    tell(SimpleNamespace(put=kept.__setitem__), place, [], replace(JOB, cropped=True))
    assert kept[sets.sheet_key("eyes")], "intermediates show nothing before"
