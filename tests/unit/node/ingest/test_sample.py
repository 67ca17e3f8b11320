"""A sample is the same whenever it is drawn, and fair to every class."""

from __future__ import annotations

from collections import Counter

from muster_node.ingest.sample import draw, place

NAMES = [f"{number}_left.jpeg" for number in range(1000)]
LABELS = {name: "rare" if number < 20 else "common" for number, name in enumerate(NAMES[:900])}


def test_every_class_has_its_share():
    drawn = draw(NAMES, LABELS, 0.1, 1)
    assert Counter(LABELS.get(name, "none") for name in drawn) == {"rare": 2, "common": 88, "none": 10}


def test_none_is_left_without_any():
    assert len(draw(NAMES, LABELS, 0.0001, 1)) == 3


def test_the_same_whatever_the_order_and_another_with_another_seed():
    assert draw(NAMES, LABELS, 0.1, 1) == draw(reversed(NAMES), LABELS, 0.1, 1) != draw(NAMES, LABELS, 0.1, 2)
    assert draw(NAMES, LABELS, 0.1, 1) < draw(NAMES, LABELS, 0.5, 1), "a larger one has it in it"


def test_a_place_depends_on_the_name_alone():
    places = [place(name, 1) for name in NAMES]
    assert 0 <= min(places) < 0.01 and 0.99 < max(places) < 1
