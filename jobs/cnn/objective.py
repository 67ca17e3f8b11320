"""What a network's numbers mean: the loss of each row, and the probability of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional

Labels = Sequence[tuple[int, ...]]
"""The numbers of each row's classes."""


class Objective(Protocol):
    """How a network is asked and what it is told."""

    @property
    def outputs(self) -> int:
        """How many numbers a network returns for a picture."""
        ...

    def losses(self, said: Any, labels: Labels) -> Any:  # noqa: ANN401  tensors: torch is not where types are checked
        """Return the loss of each row, in which the rows' weights are not counted."""
        ...

    def probabilities(self, said: Any) -> Any:  # noqa: ANN401
        """Return the probability of each class for each row."""
        ...


@dataclass(frozen=True)
class OneClass:
    """A row is of one class of many.

    `classes`: how many there are; `chosen`: the numbers of those that take part; others have probability 0.
    """

    classes: int
    chosen: tuple[int, ...]

    @property
    def outputs(self) -> int:
        """One for each class that takes part."""
        return len(self.chosen)

    def losses(self, said: Any, labels: Labels) -> Any:  # noqa: ANN401
        """Return the cross entropy."""
        return functional.cross_entropy(said, _places(labels, self.chosen, said), reduction="none")

    def probabilities(self, said: Any) -> Any:  # noqa: ANN401
        """Return the softmax."""
        return _among(torch.softmax(said.float(), dim=1), self.chosen, self.classes)


@dataclass(frozen=True)
class Ordinal:
    """Classes are grades: cumulative logits. Number k says whether the grade is above the k-th one.

    What grows with the grade is one number, the first; the others are the steps between thresholds, so that a
    higher threshold is never passed more easily than a lower one.
    """

    classes: int
    chosen: tuple[int, ...]

    @property
    def outputs(self) -> int:
        """The grade's number, and a step for each threshold after the first."""
        return len(self.chosen) - 1

    def losses(self, said: Any, labels: Labels) -> Any:  # noqa: ANN401
        """Return the mean binary cross entropy over the thresholds."""
        grades = _places(labels, self.chosen, said)[:, None]
        above = (grades > torch.arange(self.outputs, device=said.device)).float()
        logits = self._logits(said.float())
        return functional.binary_cross_entropy_with_logits(logits, above, reduction="none").mean(dim=1)

    def probabilities(self, said: Any) -> Any:  # noqa: ANN401
        """Return what lies between two thresholds."""
        above = torch.sigmoid(self._logits(said.float()))
        ends = torch.ones_like(above[:, :1])
        shares = torch.cat([ends, above], dim=1) - torch.cat([above, 1 - ends], dim=1)
        return _among(shares, self.chosen, self.classes)

    def _logits(self, said: Any) -> Any:  # noqa: ANN401
        steps = torch.cumsum(functional.softplus(said[:, 1:]), dim=1)
        return torch.cat([said[:, :1], said[:, :1] - steps], dim=1)


@dataclass(frozen=True)
class Several:
    """A row may be of several classes at once, or of none."""

    classes: int

    @property
    def outputs(self) -> int:
        """One for each class."""
        return self.classes

    def losses(self, said: Any, labels: Labels) -> Any:  # noqa: ANN401
        """Return the mean binary cross entropy over the classes."""
        there = torch.zeros(len(labels), self.classes)
        for place, numbers in enumerate(labels):
            there[place, list(numbers)] = 1.0
        found = functional.binary_cross_entropy_with_logits(
            said.float(), there.to(said.device), reduction="none"
        )
        return found.mean(dim=1)

    def probabilities(self, said: Any) -> Any:  # noqa: ANN401
        """Return the probability of each class, of any other's independent."""
        return torch.sigmoid(said.float())


def _places(labels: Labels, chosen: Sequence[int], said: Any) -> Any:  # noqa: ANN401
    places = {number: place for place, number in enumerate(chosen)}
    return torch.tensor([places[each[0]] for each in labels], dtype=torch.long, device=said.device)


def _among(shares: Any, chosen: Sequence[int], classes: int) -> Any:  # noqa: ANN401
    """Return the shares of those chosen among those of all classes."""
    if len(chosen) == classes:
        return shares
    spread = torch.zeros(len(chosen), classes, device=shares.device)
    for place, number in enumerate(chosen):
        spread[place, number] = 1.0
    return shares @ spread
