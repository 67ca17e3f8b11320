"""The parameters of this job; `python parameters.py help` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from options import check, option
from prepared import SetParameters
from variant_names import RAW, SCALED, VARYING

VARIANTS = {RAW: "as they are", VARYING: "constant pixels removed", SCALED: "scaled 0-1"}
MODELS: Mapping[str, tuple[str, ...]] = {
    "cnn": ("cnn", "network=small"),
    "resnet": ("cnn", "network=resnet18"),
    "mlp": ("cnn", "network=mlp"),
    "boosting": ("boosting",),
}
"""Of each model the job, and parameters of its own."""


@dataclass(frozen=True)
class Parameters(SetParameters):
    """What is compared."""

    variants: str = option(",".join(VARIANTS), f"of pixels, of these: {', '.join(VARIANTS)}", shown="all")
    models: str = option(",".join(MODELS), f"of these: {', '.join(MODELS)}", shown="all")
    epochs: int = option(15, "of networks", least=1)
    rounds: int = option(100, "of boosted trees", least=1)
    seed: int = option(2016, "of all of them", least=0, most=2**31 - 1)


if __name__ == "__main__":
    raise SystemExit(check(Parameters))
