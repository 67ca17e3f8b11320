"""The parameters of this job; `python parameters.py help` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from options import check, option
from prepared import PixelParameters
from variant_names import RAW, SCALED, VARYING


@dataclass(frozen=True)
class Parameters(PixelParameters):
    """How trees are boosted."""

    variant: str = option(
        RAW,
        "of pixels: as they are; that without those that never differ; from 0 to 1",
        choices=(RAW, VARYING, SCALED),
    )
    rounds: int = option(100, "at most so many trees for each class", least=1, most=100_000)
    max_depth: int = option(6, "levels of a tree below its root", least=1, most=16)
    learning_rate: float = option(0.3, "how much a tree corrects those before it", least=1e-4, most=1)
    columns: float = option(0.5, "share of the pixels that each tree may look at", least=0.001, most=1)
    validation: float = option(0.1, "share of the rows that are asked, not learnt", least=0, most=0.9)
    patience: int = option(10, "rounds without a lower validation loss that end it; 0: none do", least=0)
    seed: int = option(2016, "of the sample, of the rows asked and of the pixels", least=0, most=2**31 - 1)


if __name__ == "__main__":
    raise SystemExit(check(Parameters))
