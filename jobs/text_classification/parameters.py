"""The parameters of this job; `python parameters.py help` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from options import check, option

PACKAGES = "packages"


@dataclass(frozen=True)
class Parameters:
    """Which texts are learned, and how."""

    data: str = option(
        PACKAGES, "a folder in HDFS with lines `label<TAB>text`, or packages: Debian's package index"
    )
    average: bool = option(True, "a model for each core, averaged after each round; else one on one core")
    rounds: int = option(5, "how often every text is learned from", least=1, most=1000)
    bits: int = option(16, "texts become rows of 2**bits columns", least=8, most=24)
    words: int = option(1, "up to so many words in a row are a column", least=1, most=4)
    penalty: float = option(1e-6, "weight of the penalty on coefficients", least=1e-12)
    seed: int = option(2016, "another one learns in another order", least=0, most=2**31 - 1)


if __name__ == "__main__":
    raise SystemExit(check(Parameters))
