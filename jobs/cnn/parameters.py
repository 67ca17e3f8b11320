"""The parameters of this job; `python parameters.py help` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from options import check, option
from prepared import SetParameters
from variant_names import NORMAL, RAW, SCALED, VARYING

from muster_node.sets import BALANCES

USUAL = "usual"
AUTO, CPU, GPU = "auto", "cpu", "gpu"
CLASSES, ORDINAL, SEVERAL = "classes", "ordinal", "several"


@dataclass(frozen=True)
class Parameters(SetParameters):
    """What is learnt, and how."""

    network: str = option(
        "small",
        "4 convolutions; that of 2015, which has 7; ResNet-18; two dense layers",
        choices=("small", "2015", "resnet18", "mlp"),
    )
    output: str = option(
        USUAL,
        "one class of many; grades; any number of labels; usual: as the set has it",
        choices=(USUAL, CLASSES, ORDINAL, SEVERAL),
    )
    only: str = option("", "numbers of the classes that take part, as 0,4", shown="all")
    sizes: str = option("", "sides of pictures, learnt one after another, as 64,128", shown="size alone")
    variant: str = option(
        NORMAL,
        "of pixels: each picture normalised; as they are; that without those that never differ; 0 to 1",
        choices=(NORMAL, RAW, VARYING, SCALED),
    )
    epochs: int = option(15, "times that all rows are seen, all sizes together", least=1)
    batch: int = option(64, "rows that are learnt from at once", least=1)
    learning_rate: float = option(0.002, "of AdamW, at its highest", least=1e-7, most=10)
    weight_decay: float = option(0.01, "of AdamW", least=0)
    dropout: float = option(0.25, "share of dense features left out while learning", least=0, most=0.95)
    augment: str = option(
        USUAL,
        "shift: a little turned, scaled, moved; turns: the 8 ways to lay a square; usual: shift, of eyes all",
        choices=(USUAL, "none", "shift", "turns", "all"),
    )
    balance: str = option(
        "none",
        "rare classes: more weight for their rows, or as few rows of the others",
        choices=BALANCES,
    )
    validation: float = option(0.1, "share of subjects that are asked, not learnt", least=0, most=0.9)
    patience: int = option(0, "epochs without a lower validation loss that end it; 0: none do", least=0)
    threshold: float = option(0.5, "several: the probability from which a label counts", least=0, most=1)
    device: str = option(AUTO, "where is computed; auto: a GPU if there is one", choices=(AUTO, CPU, GPU))
    nodes: int = option(1, "that learn together; 0: all that run Spark's executors", least=0)
    mixed: bool = option(True, "on a GPU, half precision where it does no harm")
    resume: str = option("", "a run that was broken off: go on after its last epoch", shown="none")
    seed: int = option(2016, "another one begins and shuffles otherwise", least=0, most=2**31 - 1)


if __name__ == "__main__":
    raise SystemExit(check(Parameters))
