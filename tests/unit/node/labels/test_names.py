"""Which image a name means."""

from __future__ import annotations

import unicodedata

import pytest

from muster_node.labels.names import Names


@pytest.mark.parametrize(
    "written", ["a", "a.png", "./a.png", "/data/a.png", "set/a.png", "C:\\study\\a.png", r"..\set\a.png", "https://x.org/a.png"]
)  # fmt: skip
def test_folders_before_an_image_are_passed_over(written):
    assert Names(["a.png", "left/b.png"]).find(written) == ["a.png"]


@pytest.mark.parametrize(
    "written", ["1.png", "left/1.png", "left\\1", r"C:\set\left\1.png", "/set/left/1.png"]
)
def test_folders_of_an_image_may_be_written(written):
    assert Names(["left/1.png", "2.png"]).find(written) == ["left/1.png"]


@pytest.mark.parametrize("written", ["right/1.png", "/data/1.png", "", "/", "A.PNG"])
def test_another_folder_is_another_image(written):
    assert Names(["left/1.png", "a.png"]).find(written) == []


def test_a_whole_path_beats_the_end_of_another_one():
    names = Names(["1.png", "left/1.png", "right/1.png", "x/2.png", "y/2.png"])
    assert names.find("1.png") == ["1.png"]
    assert names.find("right/1") == ["right/1.png"]
    assert names.find("2") == ["x/2.png", "y/2.png"]


def test_names_are_the_same_however_accents_and_blanks_are_written():
    apart = unicodedata.normalize("NFD", "Auge_ü.png")
    assert Names([apart]).find("Auge_ü.png") == [apart]
    assert Names(["eye\\13.png", " lead.png"]).find("eye\\13.png") == ["eye\\13.png"]
    assert Names([" lead.png"]).find("lead.png") == [" lead.png"]


def test_a_whole_name_is_that_image_even_where_it_begins_another():
    assert Names(["1.png", "1.png.jpg"]).find("1.png") == ["1.png"]
