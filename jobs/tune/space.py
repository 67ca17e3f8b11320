"""What is searched: ranges of numbers, and choices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_RANGE = re.compile(r"(?P<low>[^.].*?|\..*?)\.\.(?P<high>.+?)(?P<log>:log)?")
_WHOLE = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class Dimension:
    """One parameter that is searched: choices, or the numbers from `low` to `high`, both included."""

    name: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    log: bool = False

    def suggest(self, trial: Any) -> str:  # noqa: ANN401  Optuna's trial
        """Return the value that a trial is to have, as it is typed."""
        if self.choices:
            return str(trial.suggest_categorical(self.name, self.choices))
        if self.whole:
            return str(trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log))
        return repr(float(trial.suggest_float(self.name, self.low, self.high, log=self.log)))

    def edges(self) -> tuple[str, ...]:
        """Return values between which, or of which, all are: where those can be, all can."""
        if self.choices:
            return self.choices
        return tuple(str(int(each)) if self.whole else repr(each) for each in (self.low, self.high))


def dimension(name: str, values: Sequence[str]) -> Dimension | None:
    """Return what values of a parameter search; None when it is one value, which every trial has.

    Raises:
        ValueError: in one line: a range that is none, or the same value twice.
    """
    if len(set(values)) < len(values):
        raise ValueError(f"{name} has the same value twice")
    if len(values) > 1:
        return Dimension(name, choices=tuple(values))
    found = _RANGE.fullmatch(values[0])
    if not found:
        return None
    wrong = f"{name}={values[0]}: a range is low..high, or low..high:log of positive numbers"
    try:
        low, high = float(found["low"]), float(found["high"])
    except ValueError:
        raise ValueError(wrong) from None
    log = bool(found["log"])
    if not low < high or (log and low <= 0):
        raise ValueError(wrong)
    whole = all(_WHOLE.fullmatch(found[side]) for side in ("low", "high"))
    return Dimension(name, low=low, high=high, whole=whole, log=log)
