"""The networks: each takes normalised pictures of any size and returns `outputs` numbers for each.

None has batch normalisation, so a picture's answer does not depend on those beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from variants import box

SMALL, OF_2015, RESNET, MLP = "small", "2015", "resnet18", "mlp"
CHOICES = (SMALL, OF_2015, RESNET, MLP)
GRID = 16
"""The network of 2015 had features of so many places a side before its dense layers, at 128 pixels."""
DENSE = 600


def build(
    name: str,
    *,
    channels: int,
    side: int,
    outputs: int,
    dropout: float,
    kept: NDArray[np.bool_] | None = None,
) -> Any:  # noqa: ANN401
    """Return a network; its weights are drawn from torch's own random numbers.

    Args:
        name: one of CHOICES.
        channels: of the pictures, 1 or 3.
        side: pixels a side of the pictures that are learnt first; larger ones may follow.
        outputs: how many numbers it returns.
        dropout: the share of dense features that are left out while it learns.
        kept: the values (side, side, channels) of pictures that it takes: dense layers just these, other
            networks the rectangle around them. None = all.
    """
    if name == MLP and kept is not None:
        places = np.flatnonzero(kept.transpose(2, 0, 1))
        return nn.Sequential(_Pick(places), *_dense(len(places), (DENSE, DENSE), outputs, dropout))
    builders = {SMALL: small, OF_2015: of_2015, MLP: mlp, RESNET: resnet18}
    if kept is None:
        return builders[name](channels=channels, side=side, outputs=outputs, dropout=dropout)
    top, bottom, left, right = box(np.logical_or.reduce(kept, axis=2))
    side = max(bottom - top, right - left)
    network = builders[name](channels=channels, side=side, outputs=outputs, dropout=dropout)
    return nn.Sequential(_Crop(top, bottom, left, right), network)


def small(*, channels: int, side: int, outputs: int, dropout: float) -> Any:  # noqa: ANN401
    """Two convolutions of 32 and two of 64, normalised, each block halved; dense 128."""
    layers: list[Any] = []
    width = channels
    for wide in (32, 64):
        for _ in range(2):
            layers += [nn.Conv2d(width, wide, 3, padding=1, bias=False), *_norm_relu(wide)]
            width = wide
        layers.append(nn.MaxPool2d(2))
    grid = min(max(side // 4, 1), 8)
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(grid),
        nn.Flatten(),
        *_dense(width * grid * grid, (128,), outputs, dropout),
    )


def of_2015(*, channels: int, side: int, outputs: int, dropout: float) -> Any:  # noqa: ANN401
    """Three convolutions of 32, two of 64, two of 128, each block halved; dense 600, dropout, dense 600."""
    layers: list[Any] = []
    width = channels
    for wide, times in ((32, 3), (64, 2), (128, 2)):
        for _ in range(times):
            layers += [nn.Conv2d(width, wide, 3, padding=1), nn.ReLU()]
            width = wide
        layers.append(nn.MaxPool2d(2))
    grid = min(max(side // 8, 1), GRID)
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(grid),
        nn.Flatten(),
        *_dense(width * grid * grid, (DENSE, DENSE), outputs, dropout),
    )


def mlp(*, channels: int, side: int, outputs: int, dropout: float) -> Any:  # noqa: ANN401
    """Two dense layers over the pixels; pictures of another size than the first are brought to that one."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(side),
        nn.Flatten(),
        *_dense(channels * side * side, (DENSE, DENSE), outputs, dropout),
    )


def resnet18(*, channels: int, side: int, outputs: int, dropout: float) -> Any:  # noqa: ANN401
    """ResNet-18 with a stem for small pictures: no stride before the first block up to 64 pixels a side."""
    stride = 1 if side <= 64 else 2
    layers: list[Any] = [nn.Conv2d(channels, 64, 3, stride=stride, padding=1, bias=False), *_norm_relu(64)]
    width = 64
    for wide in (64, 128, 256, 512):
        layers += [_Block(width, wide, stride=1 if wide == width else 2), _Block(wide, wide, stride=1)]
        width = wide
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(width, outputs)
    )


class _Crop(nn.Module):  # type: ignore[misc]  # torch is not where types are checked
    """Takes a rectangle of pictures: rows `top` to before `bottom`, columns `left` to before `right`."""

    def __init__(self, top: int, bottom: int, left: int, right: int) -> None:
        super().__init__()
        self._rows, self._columns = slice(top, bottom), slice(left, right)

    def forward(self, pictures: Any) -> Any:  # noqa: ANN401
        return pictures[:, :, self._rows, self._columns]


class _Pick(nn.Module):  # type: ignore[misc]
    """Takes single values of pictures, in a row. `places`: theirs."""

    def __init__(self, places: NDArray[np.int64]) -> None:
        super().__init__()
        self.register_buffer("places", torch.from_numpy(places))

    def forward(self, pictures: Any) -> Any:  # noqa: ANN401
        return pictures.flatten(1)[:, self.places]


class _Block(nn.Module):  # type: ignore[misc]
    """Two convolutions, and around them the input itself."""

    def __init__(self, width: int, wide: int, *, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(width, wide, 3, stride=stride, padding=1, bias=False),
            *_norm_relu(wide),
            nn.Conv2d(wide, wide, 3, padding=1, bias=False),
            _norm(wide),
        )
        same = width == wide and stride == 1
        self.around = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(width, wide, 1, stride=stride, bias=False), _norm(wide))
        )

    def forward(self, pictures: Any) -> Any:  # noqa: ANN401
        return torch.relu(self.inner(pictures) + self.around(pictures))


def _norm(width: int) -> Any:  # noqa: ANN401
    return nn.GroupNorm(width // 16, width)


def _norm_relu(width: int) -> Sequence[Any]:
    return [_norm(width), nn.ReLU()]


def _dense(width: int, hidden: Sequence[int], outputs: int, dropout: float) -> Sequence[Any]:
    layers: list[Any] = []
    for wide in hidden:
        layers += [nn.Linear(width, wide), nn.ReLU(), nn.Dropout(dropout)]
        width = wide
    return [*layers, nn.Linear(width, outputs)]
