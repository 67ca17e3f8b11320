"""How long what is waited for, in seconds: one table, overridable by `deadlines:` in the config file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provision.model import ClusterSpec


@dataclass(frozen=True)
class Deadlines:
    """Seconds. `boot`: from the order to SSH."""

    boot: float


DEADLINES: Mapping[str, Deadlines] = {"local": Deadlines(boot=60)}


def deadlines(spec: ClusterSpec, provider: str) -> Deadlines:
    """Return the deadlines for machines of `provider`."""
    return Deadlines(**{**vars(DEADLINES[provider]), **spec.options.get("deadlines", {})})
