"""The parameters of this job; `python parameters.py help` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from options import check, option
from prepared import PixelParameters

SPARK, SKLEARN, BOTH = "spark", "sklearn", "both"


@dataclass(frozen=True)
class Parameters(PixelParameters):
    """How forests are grown."""

    engine: str = option(BOTH, "who grows: Spark ML, scikit-learn or each", choices=(SPARK, SKLEARN, BOTH))
    trees: int = option(100, "trees of a forest, all nodes together", least=1, most=100_000)
    max_depth: int = option(20, "levels of a tree below its root", least=1, most=30)
    share: float = option(1.0, "part of the rows that each node's trees see (sklearn)", least=0.001, most=1)
    seed: int = option(2016, "of the sample and of the trees", least=0, most=2**31 - 1)


if __name__ == "__main__":
    raise SystemExit(check(Parameters))
