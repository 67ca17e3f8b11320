"""Where is computed, and how precisely."""

from __future__ import annotations

from typing import Any

import torch
from parameters import CPU, GPU


def choose(asked: str) -> torch.device:
    """Return the device. Ends the job with a line when a GPU is asked for and not there."""
    there = torch.cuda.is_available()
    if asked == GPU and not there:
        raise SystemExit(
            "device=gpu: PyTorch sees no GPU on this node (device=auto computes on the processor then)"
        )
    return torch.device("cuda" if there and asked != CPU else "cpu")


class Precision:
    """Half precision where it does no harm, on a GPU and if it is asked for; else single."""

    def __init__(self, device: torch.device, *, mixed: bool) -> None:
        self._device, self._mixed = device.type, mixed and device.type == "cuda"
        self._kind = torch.bfloat16
        if self._mixed and torch.cuda.get_device_capability(device)[0] < 8:
            self._kind = torch.float16  # older cards have no bfloat16 of their own
        self.scaler = torch.amp.GradScaler(self._device, enabled=self._mixed and self._kind is torch.float16)

    def here(self) -> Any:  # noqa: ANN401
        """Return the context in which a network computes."""
        return torch.autocast(self._device, dtype=self._kind, enabled=self._mixed)
