from __future__ import annotations

import io

import numpy
import pytest
from PIL import Image
from sheet import Entry, choose, contact_sheet, features, outlyingness, thumbnail


def test_thumbnails_are_small_and_in_colour():
    assert thumbnail(numpy.full((300, 600, 1), 7, numpy.uint8)).shape == (48, 96, 3)
    assert thumbnail(numpy.full((30, 60, 3), 7, numpy.uint8)).shape == (30, 60, 3)
    assert thumbnail(numpy.full((1, 5000, 3), 7, numpy.uint8)).shape == (1, 96, 3)


def test_features_tell_dark_flat_and_badly_cut_pictures():
    picture = numpy.zeros((10, 10, 3), numpy.uint8)
    picture[:5] = 200
    assert features(picture, 0.5) == (100, 100, 127.5, 127.5)


def test_what_is_far_from_its_class_is_an_outlier():
    chance = numpy.random.default_rng(1)
    rows = [(*chance.normal(100, 5, 2), 50.0) for _ in range(40)]
    labels = ["0"] * 20 + ["1"] * 20
    rows[7] = (100, 100, 90)
    rows[33] = (160, 100, 50)
    scores = outlyingness(rows, labels)
    assert sorted(range(40), key=lambda index: -scores[index])[:2] == [7, 33]
    assert outlyingness([(1, 2)], ["0"]) == [0] and outlyingness([], []) == []


@pytest.mark.parametrize(
    ("labels", "scores", "most", "chosen"),
    [
        (["b", "a", "b", "a", "b"], [1, 2, 9, 3, 4], 4, [3, 1, 2, 4]),
        (["a"] * 6 + ["b"], [0, 1, 2, 3, 4, 5, 0], 4, [5, 4, 3, 6]),
        (["10", "9"], [1, 2], 2, [1, 0]),
        (["a", "b", "c"], [1, 3, 2], 2, [1, 2]),
        ([], [], 40, []),
    ],
)
def test_every_class_has_its_share_of_the_sheet_outliers_first(labels, scores, most, chosen):
    assert choose(labels, scores, most) == chosen


def entry(name: str, label: str, grey: int, note: str = "", score: float = 0) -> Entry:
    before, after = (
        numpy.full((60, 96, 3), grey, numpy.uint8),
        numpy.full((96, 96, 3), grey + 20, numpy.uint8),
    )
    return Entry(name, label, before, after, note, score)


def opened(content: bytes) -> numpy.ndarray:
    return numpy.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_a_sheet_shows_forty_pictures_before_and_after():
    entries = [
        entry(f"{number}_left.jpeg", str(number % 2), number + 50, score=number) for number in range(60)
    ]
    sheet = opened(contact_sheet(entries, "eyes", {"0": 600, "1": 400}))
    assert sheet.shape == (3 * 24 + 8 * (96 + 3 * 14 + 12) + 6, 5 * (192 + 18) + 6, 3)
    greys = {grey for grey in range(50, 130) if (sheet == grey).all(axis=2).sum() > 96 * 50}
    assert greys == {*range(70, 110), *range(90, 130)}, "the 40 with the highest scores, and what they became"
    first = sheet[2 * 24 + 48, 6 + 48], sheet[2 * 24 + 48, 6 + 96 + 6 + 48]
    assert [pixel.tolist() for pixel in first] == [[108] * 3, [128] * 3]


@pytest.mark.parametrize(
    "name",
    ["眼底.png", "שלום", "a\nb\t.png", "\udc80.png", "", "x" * 4000, "left/10_left.jpeg", "\N{EYE}.png"],
)
def test_any_name_can_be_on_a_sheet(name):
    plain = opened(contact_sheet([entry("a", "b", 9)], "eyes", {"b": 1}))
    sheet = opened(contact_sheet([entry(name, name, 9, note=name)], name, {name: 1}))
    assert sheet.shape == plain.shape
    assert numpy.array_equal(sheet[:, 220:][60:140], plain[:, 220:][60:140]), "it stays within its cell"


def test_no_pictures_are_a_sheet_that_says_so():
    assert opened(contact_sheet([], "eyes", {})).shape[0] == 30
