"""What processes that learn together tell each other: sums, nothing else."""

from __future__ import annotations

from typing import Any, Protocol


class Exchange(Protocol):
    """Processes that learn together. `rank`: which of them this is, from 0; `ranks`: how many they are."""

    rank: int
    ranks: int

    def add(self, numbers: Any) -> None:  # noqa: ANN401  a tensor
        """Put the sum over all processes into a tensor, the same in each."""
        ...


class Alone:
    """One process."""

    rank, ranks = 0, 1

    def add(self, numbers: Any) -> None:  # noqa: ANN401
        """Leave it as it is."""


def sum_of_gradients(exchange: Exchange, parameters: Any) -> None:  # noqa: ANN401
    """Put the sum over all processes into the gradients of parameters, in one message."""
    import torch

    if exchange.ranks == 1:
        return
    known = list(parameters)
    for each in known:
        if each.grad is None:
            each.grad = torch.zeros_like(each)
    whole = torch.cat([each.grad.reshape(-1) for each in known])
    exchange.add(whole)
    begin = 0
    for each in known:
        each.grad.copy_(whole[begin : begin + each.numel()].view_as(each))
        begin += each.numel()
