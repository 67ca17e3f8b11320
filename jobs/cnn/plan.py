"""What the parameters ask for, against what the sets have: checked before anything is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import augment
import classes
from classes import BadClasses
from options import BadParameter
from parameters import CLASSES, ORDINAL, SEVERAL, USUAL, Parameters
from selection import Selection
from variant_names import VARYING

from muster_node.sets import SIZES, Manifest


@dataclass(frozen=True)
class Plan:
    """What is learnt. `sides`: of the pictures, for each epoch; `changes`: see augment.py."""

    classes: int
    chosen: tuple[int, ...]
    output: str
    changes: str
    sides: tuple[int, ...]
    selection: Selection

    @property
    def held_out(self) -> Selection:
        """What is asked of the set that is held out: all of it that is of the chosen classes."""
        return Selection(chosen=self.selection.chosen)


def plan(asked: Parameters, about: Manifest) -> Plan:
    """Return what is learnt. Raises BadParameter, BadClasses."""
    known, several = classes.count(about), sum(about.rows_per_class.values()) > about.rows
    output = asked.output
    if output == USUAL:
        output = SEVERAL if several else CLASSES
    if several and output != SEVERAL:
        raise BadParameter(f"output={output}: images of {about.dataset} have several labels; leave it out")
    chosen = numbers("only", asked.only) or tuple(range(known))
    if output != SEVERAL:
        classes.require_learnable(about)
        _require_classes(asked, chosen, about)
    elif asked.only:
        raise BadParameter(f"only={asked.only}: goes with one class an image")
    if asked.variant == VARYING and len(set(sides(asked))) > 1:
        raise BadParameter(f"variant={VARYING}: goes with pictures of one size, leave sizes out")
    if asked.patience and not asked.validation:
        raise BadParameter("patience needs rows to be asked: give validation=0.1, or leave patience out")
    rows = [count if number in chosen else 0 for number, count in enumerate(classes.rows(about))]
    return Plan(
        classes=known,
        chosen=chosen,
        output=output,
        changes=augment.usual(about.kind) if asked.augment == USUAL else asked.augment,
        sides=sides(asked),
        selection=Selection(
            seed=asked.seed,
            validation=asked.validation,
            shares=classes.shares(rows, sample=1, balance=asked.balance),
            chosen=chosen if asked.only else (),
        ),
    )


def sides(asked: Parameters) -> tuple[int, ...]:
    """Return the side of the pictures of each epoch: sizes have equally many. Raises BadParameter."""
    sizes = numbers("sizes", asked.sizes) or (asked.size,)
    if unknown := set(sizes) - set(SIZES):
        raise BadParameter(f"sizes={asked.sizes}: there is no size {min(unknown)}; sizes are {SIZES}")
    if len(sizes) > asked.epochs:
        raise BadParameter(f"sizes={asked.sizes}: {len(sizes)} sizes need as many epochs, not {asked.epochs}")
    return tuple(sizes[epoch * len(sizes) // asked.epochs] for epoch in range(asked.epochs))


def numbers(name: str, text: str) -> tuple[int, ...]:
    """Return the numbers of a parameter such as 0,4. Raises BadParameter."""
    words = [word.strip() for word in text.split(",")] if text else []
    if not all(word.isdecimal() for word in words):
        raise BadParameter(f"{name}={text}: has to be whole numbers with commas between")
    return tuple(dict.fromkeys(map(int, words)))


def _require_classes(asked: Parameters, chosen: Sequence[int], about: Manifest) -> None:
    empty = [number for number in chosen if not about.rows_per_class.get(str(number))]
    if asked.only and empty:
        raise BadParameter(f"only={asked.only}: no row of {about.set} is of class {empty[0]}")
    if len(chosen) < 2:
        raise BadClasses(f"only={asked.only} is one class: there is nothing to learn")
    if asked.output == ORDINAL and list(chosen) != sorted(chosen):
        raise BadParameter(f"only={asked.only}: grades go from low to high")
