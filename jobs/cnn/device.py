"""Where is computed."""

from __future__ import annotations

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
