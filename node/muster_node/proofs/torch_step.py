"""`torch_step GPUS`: multiply and train a little on every GPU, or on the processor; prints where that was."""

from __future__ import annotations

import sys
from typing import Any

from muster_node.proofs.programs import MARK

SIZE = 256
# Of the largest entry. Summed in another order, single precision differs by 1e-6; with the short numbers of
# tensor cores (TF32, where somebody turns it on) by 5e-4; a product that is wrong, by about 1.
TOLERANCE = 1e-3


def difference(torch: Any, device: str) -> float:  # noqa: ANN401  the module, which this computer may not have
    """Return by how much a product computed on a device differs from the processor's; 0.01 is a hundredth."""
    left, right = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    here = left @ right
    there = (left.to(device) @ right.to(device)).cpu()
    return float((there - here).abs().max() / here.abs().max())


def train(torch: Any, device: str) -> None:  # noqa: ANN401
    """Train a tiny model for two steps. Raises RuntimeError when nothing is learnt."""
    model = torch.nn.Linear(8, 2).to(device)
    before = model.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data, labels = torch.randn(16, 8, device=device), torch.randint(0, 2, (16,), device=device)
    losses = []
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(model(data), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if losses[1] >= losses[0] or torch.equal(before, model.weight):
        raise RuntimeError(f"torch learns nothing on {device}: the loss was {losses[0]}, then {losses[1]}")


def prove(torch: Any, gpus: int) -> str:  # noqa: ANN401
    """Prove that torch computes, on as many GPUs as there shall be at least.

    Args:
        torch: the module.
        gpus: how many GPUs the machine's type has; with 0 the processor will do.

    Returns:
        its version and where it has computed: `torch 2.6.0 on cuda`, `… on 4 cuda`, `… on cpu`.

    Raises:
        RuntimeError: it sees fewer GPUs, learns nothing, or computes something else than the processor.
    """
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    place = f"{seen} cuda" if seen > 1 else "cuda" if seen else "cpu"
    told = f"torch {torch.__version__} on {place}"
    if seen < gpus:
        raise RuntimeError(f"{told}; the machine's type has {gpus} GPU(s), torch sees {seen or 'none'}")
    for device in [f"cuda:{number}" for number in range(seen)] or ["cpu"]:
        torch.manual_seed(1)
        wrong = difference(torch, device)
        if not wrong <= TOLERANCE:  # a number that is none fails, too
            raise RuntimeError(f"{told}: a product on {device} differs from the processor's by {wrong:.1g}")
        train(torch, device)
    return told


def main() -> None:
    """Prove it of the torch that jobs have."""
    import torch

    torch.set_num_threads(1)
    try:
        print(MARK + prove(torch, int(sys.argv[1])))
    except RuntimeError as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    main()
