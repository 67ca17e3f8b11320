"""Where a model looks: parts of a picture are covered, one after another, and it is asked again.

That works for any model, and tells a person what it says: without this part the answer would be less sure.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FINEST, COARSEST = 8, 4
"""Steps across the picture; what is covered is a square of two steps."""
PATIENCE_S = 15.0
"""A grid that would take longer is made coarser."""
LEAST = 0.05
"""Where nothing that is covered lowers the log-odds of the answer by so much, the model looks nowhere."""
SHOWN = 256
"""Pixels a side of pictures on a page, at least."""
HEAT = (220, 30, 30)


def importance(
    picture: NDArray[np.uint8],
    odds: Callable[[NDArray[np.uint8]], NDArray[np.float64]],
    steps: int = FINEST,
) -> NDArray[np.float64]:
    """Return how much each step of a picture matters for an answer: (steps, steps), 0 to 1; 0 = not at all.

    Args:
        picture: as the model sees it, (side, side, channels).
        odds: returns the log-odds of the answer for rows of pixels.
        steps: how many there are across.
    """
    edges = np.linspace(0, len(picture), steps + 1).round().astype(int)
    places = [(down, across) for down in range(steps - 1) for across in range(steps - 1)]
    mean = picture.mean(axis=(0, 1)).round().astype(np.uint8)
    covered = np.repeat(picture[None], len(places) + 1, axis=0)
    for each, (down, across) in zip(covered[1:], places, strict=True):
        each[edges[down] : edges[down + 2], edges[across] : edges[across + 2]] = mean
    whole, *lower = odds(covered.reshape(len(covered), -1))
    sums, counts = np.zeros((2, steps, steps))
    for without, (down, across) in zip(lower, places, strict=True):
        sums[down : down + 2, across : across + 2] += max(whole - without, 0)
        counts[down : down + 2, across : across + 2] += 1
    heat: NDArray[np.float64] = sums / counts
    return heat / heat.max() if heat.max() >= LEAST else np.zeros_like(heat)


def affordable(seconds: float) -> int:
    """Return how many steps across can be had of a model that answers about a picture in so many seconds."""
    finer = range(FINEST, COARSEST, -1)
    return next((steps for steps in finer if (steps - 1) ** 2 * seconds <= PATIENCE_S), COARSEST)


def shown(picture: NDArray[np.uint8]) -> Image.Image:
    """Return a picture (side, side, channels) as a page shows it: its pixels stay squares."""
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    times = -(-SHOWN // len(picture))
    return image.convert("RGB").resize((len(picture) * times,) * 2, Image.Resampling.NEAREST)


def heated(image: Image.Image, heat: NDArray[np.float64]) -> Image.Image:
    """Return a picture in grey with what matters in red."""
    mask = Image.fromarray((heat * 170).round().astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    grey = image.convert("L").convert("RGB")
    return Image.composite(Image.new("RGB", image.size, HEAT), grey, mask)


def address(image: Image.Image) -> str:
    """Return an image as an address that holds all of it."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
