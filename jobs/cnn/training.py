"""A network learns from batches, and is asked about others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import augment
import numpy as np
import order
import schedule
import scripted
import torch
from device import Precision
from exchange import Exchange, sum_of_gradients
from loader import Batch
from numpy.typing import NDArray
from objective import Objective
from pieces import Pieces
from scoring import Tally
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
    variant: str
    seed: int
    mixed: bool


class Learner:
    """A network in the making: what it knows, and what the optimizer remembers."""

    def __init__(
        self,
        network: Any,  # noqa: ANN401
        objective: Objective,
        settings: Settings,
        *,
        device: torch.device,
        exchange: Exchange,
        say: Callable[[str], None],
    ) -> None:
        self.network, self.objective, self.settings = network.to(device), objective, settings
        self._device, self._exchange = device, exchange
        self._pieces = Pieces(device, say)
        self._precision = Precision(device, mixed=settings.mixed)
        self._optimizer = torch.optim.AdamW(network.parameters(), weight_decay=settings.weight_decay)

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._precision.scaler.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._precision.scaler.load_state_dict(state["scaler"])

    def epoch(self, batches: Iterable[Batch], number: int) -> float:
        """Learn from an epoch's batches; return the mean loss of a row, over all processes."""
        self.network.train()
        # Of dropout: a run that goes on after an epoch draws what it would have drawn.
        torch.manual_seed((self.settings.seed + number) * self._exchange.ranks + self._exchange.rank)
        total, rows = torch.zeros(1, device=self._device), 0
        for batch in batches:
            done = (number + batch.done) / self.settings.epochs
            for group in self._optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * schedule.rate(done)
            total += self.step(batch, number) * len(batch.labels)
            rows += len(batch.labels)
        self._exchange.add(total)
        return float(total) / max(rows, 1)

    def step(self, batch: Batch, number: int) -> Any:  # noqa: ANN401
        """Learn from one batch; return this process's part of its mean loss."""
        weights = torch.tensor([self._weight(each) for each in batch.labels], device=self._device)

        def gradients() -> Any:  # noqa: ANN401
            self._optimizer.zero_grad()
            total = torch.zeros((), device=self._device)
            for piece in self._pieces.of(len(batch.mine)):
                with self._precision.here():
                    said = self.network(self._changed(batch, number, piece))
                places = batch.mine[piece]
                losses = self.objective.losses(said, [batch.labels[place] for place in places])
                loss = (losses * weights[torch.from_numpy(places).to(self._device)]).sum() / weights.sum()
                self._precision.scaler.scale(loss).backward()
                total += loss.detach()
            return total

        loss = self._pieces.fitting(gradients, len(batch.mine))
        sum_of_gradients(self._exchange, self.network.parameters())
        self._precision.scaler.step(self._optimizer)
        self._precision.scaler.update()
        return loss

    def ask(self, batches: Iterable[Batch], tally: Tally) -> float:
        """Ask about batches, and take the answers in; return the sum of the losses."""
        self.network.eval()
        total = 0.0
        for batch in batches:
            said = self._pieces.fitting(partial(self._said, batch), len(batch.labels))
            total += float(self.objective.losses(said, batch.labels).sum())
            shares = self.objective.probabilities(said).double().cpu().numpy()
            tally.add(batch.labels, shares, batch.pixels)
        return total

    def _said(self, batch: Batch) -> Any:  # noqa: ANN401
        with torch.no_grad(), self._precision.here():
            pieces = self._pieces.of(len(batch.labels))
            return torch.cat([self.network(self._pictures(batch, piece)) for piece in pieces])

    def _weight(self, labels: tuple[int, ...]) -> float:
        return float(np.mean([self.settings.class_weights[each] for each in labels])) if labels else 1.0

    def _pictures(self, batch: Batch, piece: NDArray[np.int64]) -> Any:  # noqa: ANN401
        return scripted.pictures(batch.pixels[piece], self.settings.channels, self.settings.variant).to(
            self._device
        )

    def _changed(self, batch: Batch, number: int, piece: NDArray[np.int64]) -> Any:  # noqa: ANN401
        pictures = self._pictures(batch, piece)
        if self.settings.changes == augment.NONE:
            return pictures
        draws = order.draws(order.CHANGES, self.settings.seed, number, batch.number)
        maps = augment.maps(len(batch.labels), self.settings.changes, draws)[batch.mine[piece]]
        grid = functional.affine_grid(
            torch.from_numpy(maps).to(self._device), list(pictures.shape), align_corners=False
        )
        return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


class Answering(torch.nn.Module):  # type: ignore[misc]  # torch is not where types are checked
    """A network that answers with probabilities."""

    def __init__(self, network: Any, objective: Objective) -> None:  # noqa: ANN401
        super().__init__()
        self.network, self._objective = network, objective

    def forward(self, pictures: Any) -> Any:  # noqa: ANN401
        """Return the probability of each class for each picture."""
        return self._objective.probabilities(self.network(pictures))
