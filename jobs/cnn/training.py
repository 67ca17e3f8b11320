"""One epoch after another: a network learns from batches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import augment
import numpy as np
import order
import schedule
import scripted
import torch
from loader import Batch
from objective import Objective
from torch.nn import functional


@dataclass(frozen=True)
class Settings:
    """How is learnt. `changes`: see augment.py; `class_weights`: what a row of each class weighs."""

    epochs: int
    learning_rate: float
    weight_decay: float
    changes: str
    class_weights: tuple[float, ...]
    channels: int
    seed: int


class Learner:
    """A network in the making: what it knows, and what the optimizer remembers."""

    def __init__(
        self,
        network: Any,  # noqa: ANN401
        objective: Objective,
        settings: Settings,
        device: torch.device,
    ) -> None:
        self.network, self.objective, self.settings, self.device = (
            network.to(device), objective, settings, device,
        )  # fmt: skip
        self.optimizer = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)
        self._weights = torch.tensor(settings.class_weights, device=device)

    def epoch(self, batches: Iterable[Batch], number: int) -> float:
        """Learn from an epoch's batches; return the mean loss of a row."""
        self.network.train()
        torch.manual_seed(self.settings.seed + number)  # of dropout: a resumed run draws the same
        loss, rows = 0.0, 0
        for batch in batches:
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * schedule.rate(
                    (number + batch.done) / self.settings.epochs
                )
            loss += self.step(batch, number) * len(batch.labels)
            rows += len(batch.labels)
        return loss / max(rows, 1)

    def step(self, batch: Batch, number: int) -> float:
        """Learn from one batch; return its mean loss."""
        weights = torch.stack([self._weights[list(each)].mean() for each in batch.labels])
        labels = [batch.labels[place] for place in batch.mine]
        losses = self.objective.losses(self.network(self._seen(batch, number)), labels)
        loss = (losses * weights[batch.mine]).sum() / weights.sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def _seen(self, batch: Batch, number: int) -> Any:  # noqa: ANN401
        pictures = scripted.pictures(batch.pixels, self.settings.channels).to(self.device)
        if self.settings.changes == augment.NONE:
            return pictures
        draws = order.draws(order.CHANGES, self.settings.seed, number, batch.number)
        maps = augment.maps(len(batch.labels), self.settings.changes, draws)[batch.mine]
        grid = functional.affine_grid(
            torch.from_numpy(np.ascontiguousarray(maps)).to(self.device), list(pictures.shape),
            align_corners=False,
        )  # fmt: skip
        return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


class Answering(torch.nn.Module):  # type: ignore[misc]  # torch is not where types are checked
    """A network that answers with probabilities."""

    def __init__(self, network: Any, objective: Objective) -> None:  # noqa: ANN401
        super().__init__()
        self.network, self._objective = network, objective

    def forward(self, pictures: Any) -> Any:  # noqa: ANN401
        """Return the probability of each class for each picture."""
        return self._objective.probabilities(self.network(pictures))
