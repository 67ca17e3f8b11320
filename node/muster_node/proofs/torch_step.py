"""Train a tiny model for two steps, on the GPU where there is one; prints where that was."""

from __future__ import annotations

import torch

from muster_node.proofs.programs import MARK


def main() -> None:
    """Train. Raises RuntimeError when nothing is learnt."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
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
        raise RuntimeError(f"torch learns nothing: the loss was {losses[0]}, then {losses[1]}")
    print(f"{MARK}torch {torch.__version__} on {device}")


if __name__ == "__main__":
    main()
