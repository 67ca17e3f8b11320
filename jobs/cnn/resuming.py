"""The parameters of a run that goes on where another was broken off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from options import note
from parameters import Parameters

FREE = ("resume", "device", "nodes")
"""Parameters in which a run that goes on may differ from the one that was broken off."""


class BadCheckpoint(ValueError):
    """There is nothing to go on from; the text is one line."""


def resumed(asked: Parameters, state: Mapping[str, Any], given: Mapping[str, str]) -> Parameters:
    """Return the parameters of the run that was broken off, with what this one may have of its own.

    They are noted as this run's: those that its words gave it, and defaults, are not what it learns with.

    Args:
        asked: what this run was given, defaults included.
        state: the last one of the run that was broken off.
        given: what the command line says.

    Raises:
        BadCheckpoint: it says otherwise.
    """
    known = dict(state["parameters"])
    for name in given:
        if name not in FREE and asdict(asked)[name] != known.get(name):
            raise BadCheckpoint(
                f"{name}={given[name]}: {asked.resume} was begun with {name}={known.get(name)}; "
                f"resume={asked.resume} goes on with its parameters, leave others out"
            )
    found = Parameters(**known | {name: getattr(asked, name) for name in FREE})
    note(found)
    return found
