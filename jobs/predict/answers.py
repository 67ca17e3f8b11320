"""predictions.csv: a line for each row of a set. Pure functions."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np

ENDING = re.compile(r"(?<=[^/])\.[A-Za-z0-9]{1,5}$")


@dataclass(frozen=True)
class Answer:
    """What a model says of a row. `id`: the row's, or its number; `truth`: its label where it has one."""

    id: str
    truth: int | None
    shares: tuple[float, ...]

    @property
    def said(self) -> int:
        """The number of the likeliest class."""
        return int(np.argmax(self.shares))


def write(target: IO[str], answers: Iterable[Answer], names: Sequence[str], *, truths: bool) -> None:
    """Write all that is known: id, class, a probability for each class.

    Args:
        target: an open file.
        answers: in the order in which they are written.
        names: of the classes, by number.
        truths: the answers have labels, which get a column of their own.
    """
    lines = csv.writer(target, lineterminator="\n")
    lines.writerow(["id", *(["label"] if truths else []), "class", *(f"p_{name}" for name in names)])
    for answer in answers:
        label = [names[answer.truth]] if truths and answer.truth is not None else []
        lines.writerow([answer.id, *label, names[answer.said], *(f"{share:.6g}" for share in answer.shares)])


def write_for_competition(
    target: IO[str],
    answers: Iterable[Answer],
    names: Sequence[str],
    *,
    columns: tuple[str, str],
    endings: bool,
) -> None:
    """Write two columns, id and class.

    Args:
        target: an open file.
        answers: in the order in which they are written.
        names: of the classes, by number.
        columns: how the two are called.
        endings: the ids keep the endings of file names.
    """
    lines = csv.writer(target, lineterminator="\n")
    lines.writerow(columns)
    for answer in answers:
        lines.writerow([answer.id if endings else ENDING.sub("", answer.id), names[answer.said]])
