"""Pieces of a batch, as large as a GPU's memory has room for: halved when it runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

Result = TypeVar("Result")


class TooLarge(Exception):
    """Not even a single picture fits; the text is one line."""


class Pieces:
    """How many rows go through a network at once. A batch stays one: what its pieces say is added up.

    Args:
        device: where is computed.
        say: prints a line.
    """

    def __init__(self, device: torch.device, say: Callable[[str], None]) -> None:
        self._device, self._say = device, say
        self._most = 0

    def of(self, rows: int) -> list[NDArray[np.int64]]:
        """Return the places of a batch's rows, piece by piece; [] of none."""
        count = -(-rows // self._most) if self._most else 1
        return [piece for piece in np.array_split(np.arange(rows), count) if len(piece)]

    def fitting(self, work: Callable[[], Result], rows: int) -> Result:
        """Return what `work` gives, which goes through pieces of `rows` rows; again with halves if need be.

        It begins anew with the same random numbers. Raises TooLarge.
        """
        while True:
            drawn = self._random()
            try:
                return work()
            except torch.OutOfMemoryError:
                pass  # what the error holds of the network's memory is free below
            self._halve(rows)
            self._draw_again(drawn)

    def _halve(self, rows: int) -> None:
        now = min(self._most or rows, rows)
        if now <= 1:
            raise TooLarge("the GPU's memory does not hold one picture: take a smaller network or size")
        self._most = -(-now // 2)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self._say(
            f"The GPU's memory does not hold {now} pictures at once: {self._most} from now on; batches stay"
        )

    def _random(self) -> Any:  # noqa: ANN401  tensors
        own = torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None
        return torch.get_rng_state(), own

    def _draw_again(self, drawn: Any) -> None:  # noqa: ANN401
        torch.set_rng_state(drawn[0])
        if drawn[1] is not None:
            torch.cuda.set_rng_state(drawn[1], self._device)
