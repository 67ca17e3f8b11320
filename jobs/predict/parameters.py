"""The parameters of this job; `python parameters.py help` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from options import check, option

from muster_node import sets

BEST, SPARK, SKLEARN, XGBOOST, TORCH = "best", "spark", "sklearn", "xgboost", "torch"
FULL, COMPETITION = "full", "competition"


@dataclass(frozen=True)
class Parameters:
    """What is predicted with which model, and how it is written."""

    model: str = option(
        "", "the run that trained it, or its folder /results/RUN in HDFS", shown="has to be given"
    )
    engine: str = option(BEST, "which of a run's models", choices=(BEST, SPARK, SKLEARN, XGBOOST, TORCH))
    dataset: str = option("", "name of the data set", shown="that of the model")
    part: str = option(sets.TEST, "part of the set", choices=tuple(reversed(sets.PARTS)))
    form: str = option(FULL, "class and probabilities, or the two columns", choices=(FULL, COMPETITION))
    id_column: str = option("image", "first column of the competition's form")
    label_column: str = option("level", "second column of the competition's form")
    data: str = option("", "a text model's: a folder in HDFS with lines `id<TAB>text`", shown="")
    endings: bool = option(False, "the competition's ids keep the endings of file names")


if __name__ == "__main__":
    raise SystemExit(check(Parameters))
