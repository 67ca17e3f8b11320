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
