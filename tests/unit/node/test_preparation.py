"""Settings that a set was made with, and those of now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from muster_node import sets
from muster_node.preparation import OtherSettings, differences, read_description, require_same, settled
from muster_node.sets import Manifest
from muster_node.stores.base import NotFound

MADE = {
    "program": "preprocess 4", "kind": "plain", "channels": 1, "sample": 1.0, "subject": "", "balance": "none",
    "augment": False, "formats": ["csv", "parquet"], "multi_label": False, "masters": False,
}  # fmt: skip
ASKED = {key: value for key, value in MADE.items() if key != "program"} | {"kind": ""}


def told(**known: Any):
    return lambda: known


def made(labels: Mapping[str, Any] | None = None, **settings: Any) -> list[Manifest]:
    return [Manifest("eyes", "train_16", rows=4, rows_per_class={"0": 4}, labels=dict(labels or {}),
                     made_by=MADE | settings)]  # fmt: skip


def line(asked: Mapping[str, Any], known: list[Manifest]) -> str:
    with pytest.raises(OtherSettings) as refused:
        require_same(asked, known, told())
    return str(refused.value)


@pytest.mark.parametrize(
    ("asked", "ingested"),
    [
        ({}, {}),
        ({"kind": "plain"}, {}),
        ({"kind": ""}, {"kind": "plain"}),
        ({"masters": True}, {}),
        ({"formats": ["parquet"]}, {}),
        ({"formats": ["parquet", "csv"]}, {}),
        ({"on_bad_labels": "stop"}, {}),
        ({"unheard": 3}, {}),
    ],
)
def test_what_makes_the_same_set_differs_in_nothing(asked: dict[str, Any], ingested: dict[str, Any]) -> None:
    require_same(ASKED | asked, made(), told(**ingested))


def test_a_set_without_record_is_accepted() -> None:
    known = [Manifest("eyes", "train_16", rows=4, kind="eye", channels=3)]
    require_same(ASKED | {"channels": 1}, known, told())


def test_one_line_names_the_keys_then_and_now_and_the_remedy() -> None:
    asked = ASKED | {"channels": 3, "augment": True, "subject": "(.+)_x"}
    assert line(asked, made()) == (
        "eyes/train_16 was made with other settings of dataset (augment: false then, true now, "
        "channels: grey then, rgb now, subject: none then, (.+)_x now): "
        "./muster data rm eyes/train_16, then main.yml, makes it anew; or set them back"
    )
    assert "formats: csv then, csv and parquet now" in line(ASKED, made(formats=["csv"]))


@pytest.mark.parametrize(
    ("asked", "ingested", "then", "found"),
    [
        ("", {}, "eye", ("eye", "plain")),
        ("", {"kind": "eye"}, "eye", None),
        ("", {"kind": "eye"}, "plain", ("plain", "eye")),
        ("plain", {"kind": "eye"}, "plain", None),
        ("eye", {}, "plain", ("plain", "eye")),
    ],
)
def test_the_kind_may_be_what_ingest_was_told(
    asked: str, ingested: dict[str, Any], then: str, found: object
) -> None:
    assert differences(ASKED | {"kind": asked}, made(kind=then), told(**ingested)).get("kind") == found


def test_what_cannot_be_asked_is_not_compared() -> None:
    known = made(kind="eye", multi_label=True, sample=0.5)
    assert differences(ASKED, known, None) == {"sample": (0.5, 1.0)}
    assert differences(ASKED | {"kind": "plain"}, known, None).keys() == {"kind", "sample"}


def test_images_with_several_labels_have_them_whatever_is_asked() -> None:
    known = made(multi_label=True)
    assert "multi_label: true then, false now" in line(ASKED, known)
    several = Manifest("eyes", "holdout_16", rows=2, rows_per_class={"0": 2, "1": 1}, made_by=MADE)
    require_same(ASKED, [several, *known], told())
    require_same(ASKED, known, told(multi_label=True))


@pytest.mark.parametrize("left_out", [{"sample": 0.1}, {"balance": "subsample"}, {}])
def test_images_with_several_labels_may_be_those_that_were_left_out(left_out: dict[str, Any]) -> None:
    (known,) = made(multi_label=True, **left_out)
    skipped = () if left_out else ({"image": "x.png", "reason": "no picture"},)
    require_same(ASKED | left_out, [replace(known, skipped=skipped)], told())
    assert "multi_label: false then, true now" in line(
        ASKED | left_out | {"multi_label": True}, made(**left_out)
    )


def test_labels_of_a_folder_are_read_when_it_is_sent() -> None:
    folder = ASKED | {"on_bad_labels": "stop"}
    dropped = made({"rows": 9, "used": 7, "reported": {"malformed": 1, "duplicate": 1}})
    assert line(folder, dropped) == (
        "eyes/train_16 was made with other settings of dataset (on_bad_labels: drop then, stop now): "
        "./muster data rm eyes, then main.yml, makes it anew; or set them back"
    )
    require_same(folder | {"on_bad_labels": "drop"}, dropped, told())
    require_same(folder, made({"rows": 9, "used": 8, "reported": {"duplicate": 1}}), told())
    assert "data rm eyes," in line(folder | {"multi_label": True}, made())
    assert "data rm eyes/train_16," in line(ASKED | {"multi_label": True}, made()), "ingested: kept"


def test_what_ingest_was_told_is_asked_only_where_it_is_left_to_it() -> None:
    def never() -> dict[str, Any]:
        raise AssertionError

    assert settled({"kind": "eye", "multi_label": True}, never) == {"kind": "eye", "multi_label": True}
    assert settled({}, told(multi_label=True)) == {"kind": "plain", "multi_label": True}


def test_intermediates_tell_what_they_are_when_the_raw_data_is_gone() -> None:
    kept = {sets.masters_key("eyes"): json.dumps({"description": {"kind": "eye"}}).encode()}

    def get(key: str) -> bytes:
        if key not in kept:
            raise NotFound(key)
        return kept[key]

    store: Any = SimpleNamespace(get=get, get_range=lambda key, start, length: get(key)[start:length])
    assert read_description(store, "eyes") == {"kind": "eye"}
    kept[sets.description_key("eyes")] = b'{"kind": "plain"}'
    assert read_description(store, "eyes") == {"kind": "plain"}
    kept.clear()
    kept[sets.labels_key("eyes")] = b"image,label"
    assert read_description(store, "eyes") == {}, "nothing was said of it"
    kept[sets.masters_key("eyes")] = b"{}"
    assert read_description(store, "eyes") == {}
    del kept[sets.labels_key("eyes")]
    assert read_description(store, "eyes") is None, "nobody knows any more"


def test_what_nobody_knows_any_more_is_not_compared() -> None:
    known = made(kind="eye", multi_label=True)
    require_same(ASKED, known, lambda: None)
    assert differences(ASKED | {"kind": "plain"}, known, lambda: None) == {"kind": ("eye", "plain")}
    assert settled({}, lambda: None) == {"kind": "plain", "multi_label": False}
