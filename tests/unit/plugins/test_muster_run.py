from __future__ import annotations

from itertools import count, pairwise, repeat

import pytest

from provision.plugins.action.muster_run import _answer, _error, follow


class Seconds:
    """An event that is set after some seconds, which pass at once."""

    def __init__(self, after: float) -> None:
        self.now, self.after = 0.0, after

    def wait(self, pause: float) -> bool:
        self.now += pause
        return self.now > self.after


def test_progress_that_goes_on_is_a_line_in_thirty_seconds() -> None:
    parts, shown, over = count(), [], Seconds(600)
    follow(over, lambda: f"{next(parts)} of 999 parts", lambda line: shown.append((over.now, line)))
    times = [at for at, _ in shown]
    assert times[0] == 2.0
    assert all(later - sooner >= 30 for sooner, later in pairwise(times[4:]))
    assert len(shown) < 25


def test_progress_that_stands_still_is_shown_once() -> None:
    same, shown, over = repeat("1 of 2 parts"), [], Seconds(600)
    follow(over, lambda: next(same), shown.append)
    assert shown == ["1 of 2 parts"]


@pytest.mark.parametrize("lie", ["", "7", "[1]", '"x"', "null", "[" * 100_000, "{"])
def test_what_is_no_answer_is_none(lie: str) -> None:
    assert _answer(["x", lie]) == {}
    assert _error([lie]) == _error([]) == ""


def test_an_answer_is_the_last_line() -> None:
    assert _answer(["{}", '{"error": "no room"}']) == {"error": "no room"}
    assert _error(['{"error": "no room"}']) == "no room"
