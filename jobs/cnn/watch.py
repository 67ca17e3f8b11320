"""Early stopping: which epoch was the best, and whether there has been none better for too long."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Watch:
    """`patience`: epochs without a lower loss that end the training, 0: none do; `best`: the lowest loss."""

    patience: int
    best: float = math.inf
    epoch: int = -1
    last: int = -1

    def see(self, loss: float) -> bool:
        """Take in the next epoch's loss; return whether it is the best. A loss that is no number never is."""
        self.last += 1
        if not loss < self.best:
            return False
        self.best, self.epoch = loss, self.last
        return True

    @property
    def over(self) -> bool:
        """Whether the training is to end."""
        return bool(self.patience) and self.last - self.epoch >= self.patience
