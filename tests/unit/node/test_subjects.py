"""Subjects by a pattern that may be any."""

from __future__ import annotations

import sys
import time

import pytest

from muster_node import subjects
from muster_node.subjects import BadPattern, require_pattern, subjects_of


def test_both_eyes_are_one_subject_when_all_names_say_so():
    assert subjects_of(["b/10_left.jpeg", "10_right.png"]) == {"b/10_left.jpeg": "10", "10_right.png": "10"}
    assert subjects_of(["10_left.png", "cat.png"]) == {"10_left.png": "10_left.png", "cat.png": "cat.png"}
    assert subjects_of(["_left.png"], "") == {"_left.png": "_left.png"}
    assert subjects_of([]) == {}


def test_the_first_group_is_the_subject_and_what_does_not_match_is_its_own():
    found = subjects_of(["p1-a.png", "p1-b.png", "sub/p2-a.png", "ü-1.png", "x.png"], r"(p\d+|ü)-.")
    assert list(found.values()) == ["p1", "p1", "p2", "ü", "x.png"]


def test_a_pattern_with_a_slash_is_compared_with_paths():
    names = ["7/left.png", "7/right.png", "8/left.png"]
    assert list(subjects_of(names, "(.+)/.*").values()) == ["7", "7", "8"]
    assert list(subjects_of(names, "(left|right)").values()) == ["left", "right", "left"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(.+", r"'\(.\+' is no pattern: missing \), unterminated subpattern"),
        ("[0-9]+_left", "has no group in parentheses"),
        ("(a)" * 100, "has more than 200 characters"),
        ("(a{99999999999})", "is no pattern"),
    ],
)
def test_what_is_no_pattern_is_told_in_one_line(pattern, said):
    with pytest.raises(BadPattern, match=said) as error:
        require_pattern(pattern)
    assert "\n" not in str(error.value)
    with pytest.raises(BadPattern):
        subjects_of(["a.png"], pattern)


@pytest.mark.parametrize("pattern", ["(.+)_(left|right)", "", r"(\d+)_.*", "(?P<who>[^_]+)_.*", "(.*)"])
def test_good_patterns_are_quick(pattern):
    begin = time.monotonic()
    require_pattern(pattern)
    assert time.monotonic() - begin < subjects._TRIAL_SECONDS


@pytest.mark.parametrize(
    "pattern", ["(a+)+", r"((\w+)*)_x", "(a|a)*b", r"(\d+)+", "(.*)(.*)(.*)(.*)(.*)(.*)(.*)x"]
)
def test_patterns_that_would_never_end_are_refused(pattern, monkeypatch):
    monkeypatch.setattr(subjects, "_TRIAL_SECONDS", 1)
    with pytest.raises(BadPattern, match="takes more than 1 s to compare: repeat nothing that is repeated"):
        require_pattern(pattern)


def test_one_that_was_not_found_out_ends_when_names_are_compared(monkeypatch):
    monkeypatch.setattr(subjects, "SECONDS", 1)
    require_pattern("((xy)+)+z")
    with pytest.raises(BadPattern, match="takes more than 1 s"):
        subjects_of(["xy" * 40 + "!.png"], "((xy)+)+z")


def test_a_busy_machine_is_not_the_patterns_fault(tmp_path, monkeypatch):
    late = tmp_path / "python"
    late.write_text(f'#!/bin/sh\nsleep 1.2\nexec {sys.executable} "$@"\n')
    late.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(late))
    monkeypatch.setattr(subjects, "_TRIAL_SECONDS", 1)
    subjects.require_pattern("(p[0-9]+)-.")
