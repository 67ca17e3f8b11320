"""Parameters of jobs: declared once, told in one line when they are wrong."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import options
import pytest
from options import BadParameter, option, parse


@dataclass(frozen=True)
class Forest:
    trees: int = option(100, "trees in all", least=1)
    share: float = option(0.5, "rows that a tree sees", least=0, most=1)
    rate: float = option(0.1, "without an upper bound", least=0)
    engine: str = option("spark", "what grows them", choices=("spark", "sklearn"))
    replace: bool = option(True, "draw with replacement")
    size: int = option(lambda: 7, "made when the job starts", shown="the cluster's")


def test_words_become_values_of_the_declared_types():
    assert parse(Forest, []) == Forest()
    asked = parse(Forest, ["trees=7", "share=0.25", "engine=sklearn", "replace=no"])
    assert asked == Forest(trees=7, share=0.25, engine="sklearn", replace=False)
    assert (asked.size, type(asked.trees)) == (7, int)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tree=7"], "unknown parameter 'tree' (did you mean trees?)"),
        (["depth=7"], "unknown parameter 'depth' (known: trees, share, rate, engine, replace, size)"),
        (["--trees", "7"], "'--trees' is no parameter: write name=value (known: trees, share, rate, engine, replace, size)"),
        (["trees=0"], "trees=0: has to be a whole number, at least 1"),
        (["trees=many"], "trees=many: has to be a whole number, at least 1"),
        (["share=2"], "share=2: has to be a number, 0 to 1"),
        (["share=nan"], "share=nan: has to be a number, 0 to 1"),
        (["rate=inf"], "rate=inf: has to be a number, at least 0"),
        (["engine=torch"], "engine=torch: has to be spark | sklearn"),
        (["replace=perhaps"], "replace=perhaps: has to be true or false"),
        (["trees=1", "trees=2"], "trees is given twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(words, said):
    with pytest.raises(BadParameter) as error:
        parse(Forest, words)
    assert str(error.value) == said


def test_the_table_has_every_parameter():
    rows = options.table(Forest).splitlines()
    assert [row.split()[0] for row in rows] == [
        "PARAMETER",
        "trees",
        "share",
        "rate",
        "engine",
        "replace",
        "size",
    ]
    assert rows[1].split("  ") and "100" in rows[1] and "trees in all" in rows[1]
    assert "the cluster's" in rows[6]


def test_a_job_ends_with_the_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["main.py", "trees=-1"])
    with pytest.raises(SystemExit, match="^trees=-1: has to be"):
        options.given(Forest)


def test_the_declaration_is_a_program(monkeypatch, capsys):
    for words, status in ((["trees=5"], 0), (["help"], 0), (["trees=x"], 2)):
        monkeypatch.setattr(sys, "argv", ["parameters.py", *words])
        assert options.check(Forest) == status
    shown = capsys.readouterr()
    assert "trees in all" in shown.out and shown.err == "trees=x: has to be a whole number, at least 1\n"
