"""Answers of machines that may be anything."""

from __future__ import annotations

import pytest

from provision.core.untrusted import is_number, parse_json


@pytest.mark.parametrize("text", ["", "Welcome!", "{", "[" * 100_000, '{"a":' * 100_000, "1" * 5000, b"\xff"])
def test_what_is_no_answer_is_none(text: str | bytes) -> None:
    assert parse_json(text) is None


def test_an_answer_is_what_it_says() -> None:
    assert parse_json(b'{"a": [1, "\xc3\xbc"]}') == {"a": [1, "ü"]}


def test_numbers_that_can_be_counted_with() -> None:
    assert all(map(is_number, (0, 1.5, True, 1e14)))
    assert not any(map(is_number, (-1, 1e18, 10**400, float("nan"), float("inf"), "1", None)))
