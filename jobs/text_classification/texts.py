"""Texts with labels as rows of numbers, and the linear model that many learn together. Pure functions."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import SGDClassifier

LINES = 2048
"""Lines that are turned into numbers at a time."""
HELD_OUT = 5
"""One line of so many is held out, always the same ones."""


@dataclass(frozen=True)
class Block:
    """Some lines as numbers. `rows`: a sparse matrix; `labels`: by number; `size`: bytes of their texts."""

    rows: Any
    labels: NDArray[np.int64]
    size: int


def pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (label, text) of the lines `label<TAB>text`; those that have no label or no text are left out."""
    for line in lines:
        label, tab, text = line.partition("\t")
        if tab and label.strip() and text.strip():
            yield label.strip(), text


def place(text: str) -> int:
    """Return where a text comes in an order that mixes all of them, the same each time."""
    return zlib.crc32(text.encode())


def held_out(text: str) -> bool:
    """Return whether a text is for the test; equal ones are on the same side."""
    return place(text) % HELD_OUT == 0


def vectorizer(*, bits: int, words: int) -> HashingVectorizer:
    """Return what turns texts into rows of 2**bits columns: of each word, and of up to `words` in a row."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        n_features=2**bits, ngram_range=(1, words), dtype=np.float32, alternate_sign=False
    )


def blocks(
    found: Iterable[tuple[str, str]], classes: Sequence[str], *, bits: int, words: int
) -> Iterator[Block]:
    """Yield (label, text) as numbers; `classes` are all labels in order."""
    numbers, turn = {name: number for number, name in enumerate(classes)}, vectorizer(bits=bits, words=words)
    rest = iter(found)
    while some := list(islice(rest, LINES)):
        texts = [text for _, text in some]
        labels = np.array([numbers[label] for label, _ in some])
        yield Block(turn.transform(texts), labels, sum(len(text.encode()) for text in texts))


def untrained(*, classes: int, columns: int, penalty: float, seed: int) -> SGDClassifier:
    """Return a model that has learned nothing: all its coefficients are 0."""
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(loss="log_loss", alpha=penalty, random_state=seed)
    model.partial_fit(np.zeros((1, columns), dtype=np.float32), [0], classes=np.arange(classes))
    model.coef_[:], model.intercept_[:], model.t_ = 0, 0, 1.0
    return model


def learned(start: SGDClassifier, learning: Iterable[Block]) -> tuple[SGDClassifier, int]:
    """Return a model that goes on from `start`, and the rows it has learned from once each."""
    model, count = copy.deepcopy(start), 0
    for block in learning:
        model.partial_fit(block.rows, block.labels)
        count += len(block.labels)
    return model, count


def averaged(models: Iterable[tuple[SGDClassifier, int]]) -> SGDClassifier:
    """Return the mean of linear models, each counting as many times as it had rows.

    Raises ValueError: none of them had any.
    """
    mean: Any = None
    total = 0
    for model, count in models:
        if not count:
            continue
        if mean is None:
            mean = copy.deepcopy(model)
        share = count / (total + count)
        mean.coef_ += share * (model.coef_ - mean.coef_)
        mean.intercept_ += share * (model.intercept_ - mean.intercept_)
        mean.t_ = max(mean.t_, model.t_)
        total += count
    if mean is None:
        raise ValueError("there are no models to average: no part of the texts has lines")
    return mean
