"""The parameters of this job; `python parameters.py help` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from options import check, option
from prepared import PixelParameters


@dataclass(frozen=True)
class Parameters(PixelParameters):
    """How the regression is fitted."""

    iterations: int = option(100, "most iterations of L-BFGS", least=1)
    regularisation: float = option(0.01, "weight of the penalty on coefficients", least=0)
    l1: float = option(
        0.0, "share of L1 in the penalty: 0 is L2, 1 is L1, between is elastic net", least=0, most=1
    )


if __name__ == "__main__":
    raise SystemExit(check(Parameters))
