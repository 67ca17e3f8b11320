"""The pure parts of jobs/text_classification."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

from provision.core.paths import PROJECT

JOB = PROJECT / "jobs" / "text_classification"
INDEX = """\
Package: gzip
Section: utils
Description: GNU compression utilities
Description-md5: 1

Package: libfoo
Version: 2
Section: non-free/libs
Description: short
Description-md5: 2

Package: gzip
Section: utils
Description: an older one
Description-md5: 3

Package: nameless-section
Description: lost
"""
LONG = """\
Package: libfoo
Description-md5: 2
Description-en: Does foo
 for everybody,
 .
 \tand  bar.
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Return what imports one of the job's modules, none of which another job has left behind."""
    monkeypatch.syspath_prepend(str(JOB))
    for name in ("main", "parameters", "packages", "texts"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module


def learning(texts, *, lines: int, seed: int = 0) -> list:
    """Blocks of texts whose words tell their label."""
    draw = np.random.default_rng(seed)
    words = {"fruit": ["apple", "pear", "plum"], "metal": ["iron", "tin", "zinc"], "star": ["vega", "deneb"]}
    names = sorted(words)
    found = []
    for place in range(lines):
        label = names[place % 3]
        found.append((label, " ".join(draw.choice([*words[label], "the", "of"], 6))))
    return list(texts.blocks(found, names, bits=10, words=1))


def right(model, blocks: list) -> float:
    return float(np.mean(np.concatenate([model.predict(one.rows) == one.labels for one in blocks])))


def test_the_package_index_becomes_labelled_texts(module):
    packages = module("packages")
    long = packages.descriptions(packages.stanzas(LONG.splitlines(keepends=True)))
    found = list(packages.texts(packages.stanzas(INDEX.splitlines(keepends=True)), long))
    assert found == [
        "utils\tgzip GNU compression utilities",
        "libs\tlibfoo Does foo for everybody, . and bar.",
    ]


def test_without_apt_one_line_says_so(module, monkeypatch):
    packages = module("packages")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(packages.NoPackages, match="apt brings no package index") as refusal:
        list(packages.fetch())
    assert "\n" not in str(refusal.value)


def test_lines_without_label_or_text_are_left_out(module):
    lines = ["a\tsome text", "no tab", "\tno label", "b\t ", "c\ttwo\ttabs"]
    assert list(module("texts").pairs(lines)) == [("a", "some text"), ("c", "two\ttabs")]


def test_a_fifth_is_held_out_always_the_same(module):
    texts = module("texts")
    held = [texts.held_out(f"text number {place}") for place in range(5000)]
    assert held == [texts.held_out(f"text number {place}") for place in range(5000)]
    assert 0.17 < np.mean(held) < 0.23


def test_texts_in_order_are_mixed_always_alike(module):
    lines = [f"{label} {place}" for label in "abc" for place in range(200)]
    mixed = sorted(lines, key=module("texts").place)
    assert mixed != lines
    for third in (mixed[:200], mixed[200:400], mixed[400:]):
        assert all(40 < sum(line[0] == label for line in third) < 95 for label in "abc")


def test_blocks_keep_order_labels_and_bytes(module):
    texts = module("texts")
    found = [("b", "x y"), ("a", "é"), *[("a", "z")] * texts.LINES]
    blocks = list(texts.blocks(iter(found), ["a", "b"], bits=8, words=2))
    assert [len(one.labels) for one in blocks] == [texts.LINES, 2]
    assert blocks[0].labels[:3].tolist() == [1, 0, 0] and blocks[0].rows.shape == (texts.LINES, 256)
    assert sum(one.size for one in blocks) == 3 + 2 + texts.LINES


def test_the_average_is_the_mean_weighted_by_rows(module):
    texts = module("texts")
    start = texts.untrained(classes=3, columns=2**10, penalty=1e-5, seed=1)
    apart = [texts.learned(start, learning(texts, lines=count, seed=count)) for count in (30, 90, 60)]
    mean = texts.averaged(apart)
    coefficients = np.average([model.coef_ for model, _ in apart], axis=0, weights=[30, 90, 60])
    assert np.allclose(mean.coef_, coefficients) and mean.t_ == 91
    assert not start.coef_.any()
    folded = texts.averaged([(texts.averaged(apart[:2]), 120), apart[2]])
    assert np.allclose(folded.coef_, mean.coef_) and np.allclose(folded.intercept_, mean.intercept_)


def test_averaged_models_learn_over_rounds_what_none_saw_alone(module):
    """Each of the three has rows of one class only."""
    texts = module("texts")
    blocks = learning(texts, lines=300)
    apart = [
        [texts.Block(one.rows[one.labels == label], one.labels[one.labels == label], 0) for one in blocks]
        for label in range(3)
    ]
    model = texts.untrained(classes=3, columns=2**10, penalty=1e-5, seed=1)
    for _ in range(5):
        model = texts.averaged([texts.learned(model, part) for part in apart])
    assert right(model, learning(texts, lines=90, seed=5)) > 0.95
    assert model.predict_proba(blocks[0].rows).shape == (300, 3)


def test_parts_without_lines_do_not_count(module):
    texts = module("texts")
    start = texts.untrained(classes=3, columns=2**10, penalty=1e-5, seed=1)
    one = texts.learned(start, learning(texts, lines=30))
    assert np.allclose(texts.averaged([texts.learned(start, []), one]).coef_, one[0].coef_)
    with pytest.raises(ValueError, match="no part of the texts has lines"):
        texts.averaged([texts.learned(start, [])])


def test_models_that_do_not_fit_are_refused_in_a_line(module):
    main = module("main")
    main.require_room(classes=58, bits=16, room=2**28)
    with pytest.raises(main.BadTexts, match="take fewer bits") as refusal:
        main.require_room(classes=58, bits=22, room=2**28)
    assert "\n" not in str(refusal.value)
