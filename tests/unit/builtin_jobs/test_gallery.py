"""Which pictures of a part go on the contact sheet."""

from __future__ import annotations

import io

import numpy
from gallery import PART_MOST, Gallery, sheet_of
from pictures import Prepared
from PIL import Image as Picture
from tasks import Image, Made

from muster_node import sets


def prepared(level: int, note: str = "") -> Prepared:
    master = numpy.full((64, 64, 3), level, numpy.uint8)
    return Prepared({16: master[:16, :16]}, master, master, (note,) if note else ())


def test_the_odd_one_of_a_part_goes_to_the_driver_and_on_the_sheet():
    gallery = Gallery()
    for number in range(40):
        gallery.add(Image(f"{number}.png", "1"), prepared(100 + number % 3))
    gallery.add(Image("odd.png", "1"), prepared(250, "no disc found"))
    best = gallery.best()
    assert len(best) == PART_MOST and best[0]["name"] == "odd.png" and best[0]["note"] == "no disc found"
    made = [Made(sets.TRAIN, 0, size, labels={"1": 41}, shown=best) for size in (16, 32)]
    sheet = Picture.open(io.BytesIO(sheet_of(made, {"severe": 1}, "eyes")))
    assert sheet.format == "PNG" and sheet.width > 900


def test_a_part_without_a_picture_has_none_to_show():
    assert Gallery().best() == []
