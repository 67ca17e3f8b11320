"""What a network says of rows that it has not learnt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import samples
import scripted
import torch
from loader import Batch
from numpy.typing import NDArray
from samples import Sample


@dataclass
class Judged:
    """The confusion matrix, and the worst mistakes."""

    matrix: NDArray[np.int64]
    worst: list[Sample]


def judge(
    network: Any,  # noqa: ANN401
    batches: Iterable[Batch],
    *,
    channels: int,
    classes: int,
    device: torch.device,
) -> Judged:
    """Ask a network, which answers with probabilities, about batches."""
    network.eval()
    judged = Judged(np.zeros((classes, classes), np.int64), [])
    for batch in batches:
        with torch.no_grad():
            answers = network(scripted.pictures(batch.pixels, channels).to(device))
        shares = answers.double().cpu().numpy()
        labels = np.array([each[0] for each in batch.labels])
        np.add.at(judged.matrix, (labels, shares.argmax(axis=1)), 1)
        judged.worst = samples.worst([*judged.worst, *samples.wrong(labels, batch.pixels, shares)])
    return judged
