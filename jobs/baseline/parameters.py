"""The parameters of this job; `python parameters.py help` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from options import check, option
from prepared import PixelParameters


@dataclass(frozen=True)
class Parameters(PixelParameters):
    """How the regression is fitted."""

    iterations: int = option(100, "most iterations of L-BFGS", least=1)
    regularisation: float = option(0.01, "weight of the L2 penalty on coefficients", least=0)


if __name__ == "__main__":
    raise SystemExit(check(Parameters))
